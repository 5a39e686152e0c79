"""Firing and resolved alerts as JSON to an address, in the form that Prometheus' Alertmanager sends (version 4)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from shoal.errors import UsageError
from shoal.monitor.alerts.episodes import FIRING, Episode

# The environment's variable: an address may hold a secret, and settings are shown, logged and hashed.
VARIABLE = "SHOAL_ALERT_WEBHOOK"
# Alerts of one message.
MESSAGE = 100
# What may be otherwise a second later: too many requests, and the server's own faults.
AGAIN = {429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Delivery:
    """How messages are sent: seconds that a connection and an answer may take, attempts, and the first wait between them, which
    doubles."""

    timeout_seconds: float = 5.0
    attempts: int = 3
    wait_seconds: float = 0.5
    sleep: Callable[[float], None] = time.sleep


def webhook_address(environment: Mapping[str, str]) -> str | None:
    """The address of the webhook; None without one. Raises UsageError, without the address, for one that is not http or https."""
    address = environment.get(VARIABLE, "").strip()
    if not address:
        return None
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"{VARIABLE}: not an address; expected http://HOST... or https://HOST...")
    return address


def shown_address(address: str) -> str:
    """The address without user, password, path and query, which may be secret."""
    parts = urlsplit(address)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def message_of(episodes: Sequence[Episode]) -> dict[str, Any]:
    """The JSON of up to MESSAGE episodes."""
    alerts = [
        {
            "status": episode.state,
            "labels": {"alertname": episode.alert, "series": episode.series, "severity": episode.severity},
            "annotations": {"summary": f"{episode.alert}: {episode.series} is {episode.value:g}, rule: {episode.condition}"},
            "startsAt": f"{(episode.fired_at or episode.since).isoformat()}Z",
            "endsAt": f"{episode.resolved_at.isoformat()}Z" if episode.resolved_at else "0001-01-01T00:00:00Z",
        }
        for episode in episodes
    ]
    state = FIRING if any(episode.state == FIRING for episode in episodes) else "resolved"
    return {"version": "4", "receiver": "shoal", "status": state, "alerts": alerts}


def send(address: str, episodes: Sequence[Episode], delivery: Delivery) -> tuple[list[Episode], str | None]:
    """Send the episodes, MESSAGE at a time; returns those that the receiver took, and why the others were not, in one line.

    An answer of 2xx is taken. A connection that fails, a time-out and the answers of AGAIN are tried again; redirects are not
    followed. The line holds no part of the address but its host.
    """
    taken: list[Episode] = []
    for start in range(0, len(episodes), MESSAGE):
        part = episodes[start : start + MESSAGE]
        failure = _post(address, message_of(part), delivery)
        if failure is not None:
            return taken, f"webhook {shown_address(address)}: {failure}"
        taken += part
    return taken, None


def _post(address: str, message: dict[str, Any], delivery: Delivery) -> str | None:
    """Post one message; returns why it was not taken."""
    failure = "no attempt"
    with requests.Session() as session:
        # A proxy of the environment does not lead to this machine.
        session.trust_env = urlsplit(address).hostname not in ("localhost", "127.0.0.1", "::1")
        for attempt in range(delivery.attempts):
            if attempt:
                delivery.sleep(delivery.wait_seconds * 2 ** (attempt - 1))
            try:
                answer = session.post(address, json=message, timeout=delivery.timeout_seconds, allow_redirects=False, stream=True)
            except requests.Timeout:
                failure = f"no answer within {delivery.timeout_seconds:g} s"
            except requests.RequestException as error:
                # The error's text has the address in it.
                failure = type(error).__name__
            else:
                answer.close()
                if answer.ok and answer.status_code < 300:
                    return None
                failure = f"status {answer.status_code}"
                if answer.status_code not in AGAIN:
                    return failure
    return f"{failure}, {delivery.attempts} attempts"
