"""Firing and resolved alerts as JSON to an address, in the form that Prometheus' Alertmanager sends (version 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import requests

from shoal.errors import UsageError
from shoal.monitor.alerts.delivery import Delivery, deliver, http_parts, shown_address
from shoal.monitor.alerts.episodes import FIRING, Episode

# The environment's variable: an address may hold a secret, and settings are shown, logged and hashed.
VARIABLE = "SHOAL_ALERT_WEBHOOK"
# Alerts of one message.
MESSAGE = 100


def webhook_address(environment: Mapping[str, str]) -> str | None:
    """The address of the webhook; None without one. Raises UsageError, without the address, for one that is not http or https."""
    address = environment.get(VARIABLE, "").strip()
    if not address:
        return None
    if http_parts(address) is None:
        raise UsageError(f"{VARIABLE}: not an address; expected http://HOST... or https://HOST...")
    return address


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

    def request(session: requests.Session) -> requests.Response:
        return session.post(address, json=message, timeout=delivery.timeout_seconds, allow_redirects=False, stream=True)

    refusal = deliver(address, request, lambda answer: answer.ok and answer.status_code < 300, delivery)
    return None if refusal is None else refusal.failure
