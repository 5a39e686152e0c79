"""Gauges to a Prometheus push gateway by HTTP: https://github.com/prometheus/pushgateway#api."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import requests

from shoal.errors import TransientError, UsageError
from shoal.monitor.alerts.exposition import Gauge, exposition
from shoal.monitor.alerts.webhook import AGAIN, Delivery, shown_address

# The environment's variables: a bearer token, or a user and a password.
TOKEN, USER, PASSWORD = "SHOAL_PUSH_TOKEN", "SHOAL_PUSH_USER", "SHOAL_PUSH_PASSWORD"
JOB = "shoal"


@dataclass(frozen=True)
class Gateway:
    """Where gauges are pushed, and the value of the Authorization header; None without one."""

    address: str
    authorization: str | None = None


def gateway_of(address: str, environment: Mapping[str, str]) -> Gateway:
    """The gateway at an address, with the secret of the environment. Raises UsageError, without the secret, for an address that is
    not http or https, or has a user, a query or a fragment, for a token beside a user, and for half a login."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or parts.username is not None or parts.query or parts.fragment:
        secret = f"a secret comes from {TOKEN}, or {USER} and {PASSWORD}"
        raise UsageError(f"--push: expected http://HOST:PORT or https://HOST:PORT; {secret}")
    token, user, password = (environment.get(name, "") for name in (TOKEN, USER, PASSWORD))
    if bool(user) != bool(password):
        raise UsageError(f"the environment has {USER if user else PASSWORD} alone; expected {USER} and {PASSWORD} both, or neither")
    if token and user:
        raise UsageError(f"the environment has {TOKEN} and {USER}; expected one of them")
    basic = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}" if user else None
    return Gateway(address.rstrip("/"), f"Bearer {token}" if token else basic)


def push(gateway: Gateway, lake: str, gauges: Iterable[Gauge], delivery: Delivery) -> None:
    """Put the gauges in the place of the group job="shoal", lake=`lake`: what was pushed before and is not among them is gone.

    A gateway gives every series the labels of its group: the gauges' own label `job` is pushed as `exported_job`, as Prometheus
    calls it. A connection that fails, a time-out and the answers of AGAIN are tried again. Raises TransientError, one line with no
    secret, where the gateway is away, UsageError where it refuses.
    """
    body = exposition(_renamed(gauge) for gauge in gauges).encode()
    place = f"{gateway.address}/metrics/job/{JOB}/lake@base64/{base64.urlsafe_b64encode(lake.encode()).decode()}"
    headers = {"content-type": "text/plain; version=0.0.4"}
    shown, failure = shown_address(gateway.address), "no attempt"
    with requests.Session() as session:
        # A proxy of the environment does not lead to this machine.
        session.trust_env = urlsplit(place).hostname not in ("localhost", "127.0.0.1", "::1")
        for attempt in range(delivery.attempts):
            if attempt:
                delivery.sleep(delivery.wait_seconds * 2 ** (attempt - 1))
            try:
                answer = session.put(place, body, headers=headers, auth=_authorise(gateway), timeout=delivery.timeout_seconds,
                                     allow_redirects=False, stream=True)  # fmt: skip
            except requests.Timeout:
                failure = f"no answer within {delivery.timeout_seconds:g} s"
            except requests.RequestException as error:
                failure = type(error).__name__
            else:
                answer.close()
                if answer.status_code in (200, 202):
                    return
                failure = f"status {answer.status_code}"
                if answer.status_code not in AGAIN:
                    why = f"; {TOKEN}, or {USER} and {PASSWORD}, is the login" if answer.status_code in (401, 403) else ""
                    raise UsageError(f"--push {shown}: {failure}{why}")
    raise TransientError(f"--push {shown}: {failure}, {delivery.attempts} attempts")


def _renamed(gauge: Gauge) -> Gauge:
    """The gauge with `exported_job` in the place of `job`."""
    values = {tuple(("exported_job" if n == "job" else n, v) for n, v in labels): value for labels, value in gauge.values.items()}
    return replace(gauge, values=values)


def _authorise(gateway: Gateway) -> Any:
    """What sets the header, and keeps requests from looking for another login in ~/.netrc."""

    def authorised(request: Any) -> Any:
        if gateway.authorization is not None:
            request.headers["Authorization"] = gateway.authorization
        return request

    return authorised
