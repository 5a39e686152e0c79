"""Gauges to a Prometheus push gateway by HTTP: https://github.com/prometheus/pushgateway#api."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import requests

from shoal.errors import TransientError, UsageError
from shoal.monitor.alerts.delivery import Delivery, deliver, http_parts, shown_address
from shoal.monitor.alerts.exposition import Gauge, exposition

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
    parts = http_parts(address)
    if parts is None or parts.username is not None or parts.query or parts.fragment:
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

    def request(session: requests.Session) -> requests.Response:
        return session.put(place, body, headers=headers, auth=_authorise(gateway), timeout=delivery.timeout_seconds,
                           allow_redirects=False, stream=True)  # fmt: skip

    refusal = deliver(place, request, lambda answer: answer.status_code in (200, 202), delivery)
    if refusal is None:
        return
    line = f"--push {shown_address(gateway.address)}: {refusal.failure}"
    if refusal.status is None:
        raise TransientError(line)
    raise UsageError(line + (f"; {TOKEN}, or {USER} and {PASSWORD}, is the login" if refusal.status in (401, 403) else ""))


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
