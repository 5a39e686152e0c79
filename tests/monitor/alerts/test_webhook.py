"""Alerts against a real server on this machine: what it gets, what is tried again, what is said and what is not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from shoal.errors import UsageError
from shoal.monitor.alerts.delivery import Delivery, shown_address
from shoal.monitor.alerts.episodes import Episode
from shoal.monitor.alerts.webhook import MESSAGE, send, webhook_address

SECRET = "s3cr3t"
FIRED = datetime(2024, 3, 11, 6)


class Receiver(ThreadingHTTPServer):
    """A server that answers with the statuses that it is given, one a request, and 200 after them; None: no answer in time."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses: list[int | None] = []
        self.messages: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.released = threading.Event()

    @property
    def address(self) -> str:
        return f"http://user:{SECRET}@127.0.0.1:{self.server_port}/hook/{SECRET}?token={SECRET}"


class Handler(BaseHTTPRequestHandler):
    """Takes a message."""

    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.append(self.path)
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status is None:
            self.server.released.wait(20)
            return
        if status == 200:
            assert self.headers["Content-Type"] == "application/json"
            self.server.messages.append(json.loads(body))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", f"/elsewhere/{SECRET}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


def episode(series: str = "t", **given: Any) -> Episode:
    known = {"since": datetime(2024, 3, 10, 6), "state": "firing", "severity": "critical", "metric": "freshness_hours",
             "value": 40.5, "condition": "freshness_hours > 36 for 24 hours", "as_of": date(2024, 3, 10),
             "fired_at": FIRED}  # fmt: skip
    return Episode("old", series, **{**known, **given})


def test_a_message_has_what_alertmanager_would_send(receiver: Receiver) -> None:
    over = episode("u", state="resolved", resolved_at=datetime(2024, 3, 12), notified_state="firing")
    taken, failure = send(receiver.address, [episode(), over], Delivery())
    assert ([each.series for each in taken], failure) == (["t", "u"], None)
    assert receiver.messages == [
        {
            "version": "4", "receiver": "shoal", "status": "firing",
            "alerts": [
                {
                    "status": "firing", "labels": {"alertname": "old", "series": "t", "severity": "critical"},
                    "annotations": {"summary": "old: t is 40.5, rule: freshness_hours > 36 for 24 hours"},
                    "startsAt": "2024-03-11T06:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
                },
                {
                    "status": "resolved", "labels": {"alertname": "old", "series": "u", "severity": "critical"},
                    "annotations": {"summary": "old: u is 40.5, rule: freshness_hours > 36 for 24 hours"},
                    "startsAt": "2024-03-11T06:00:00Z", "endsAt": "2024-03-12T00:00:00Z",
                },
            ],
        }
    ]  # fmt: skip
    assert receiver.paths == [f"/hook/{SECRET}?token={SECRET}"]
    assert send(receiver.address, [], Delivery()) == ([], None)


def test_a_fault_of_the_server_is_tried_again_with_longer_waits(receiver: Receiver) -> None:
    waits: list[float] = []
    receiver.statuses = [503, 429]
    taken, failure = send(receiver.address, [episode()], Delivery(attempts=3, wait_seconds=0.25, sleep=waits.append))
    assert (len(taken), failure, waits, len(receiver.messages)) == (1, None, [0.25, 0.5], 1)


@pytest.mark.parametrize(
    ("statuses", "attempts", "said"),
    [
        ([500, 500], 2, "status 500, 2 attempts"),
        ([404], 1, "status 404"),  # the same request would get the same answer
        ([302], 1, "status 302"),  # a redirect may lead anywhere
        ([None], 1, "no answer within 0.2 s, 1 attempts"),
    ],
)
def test_what_is_not_taken_is_one_line_without_a_secret(
    receiver: Receiver, statuses: list[int | None], attempts: int, said: str
) -> None:
    receiver.statuses = list(statuses)
    taken, failure = send(receiver.address, [episode()], Delivery(0.2, attempts, sleep=lambda _: None))
    assert (taken, failure) == ([], f"webhook http://127.0.0.1:{receiver.server_port}: {said}")
    assert len(receiver.paths) == len(statuses)


def test_a_server_that_is_not_there_is_one_line_without_a_secret(receiver: Receiver) -> None:
    address = receiver.address
    receiver.shutdown()
    receiver.server_close()
    taken, failure = send(address, [episode()], Delivery(1, 2, sleep=lambda _: None))
    assert taken == []
    assert failure is not None
    assert failure.endswith("ConnectionError, 2 attempts")
    assert SECRET not in failure


def test_many_alerts_are_several_messages_and_those_before_a_failure_are_taken(receiver: Receiver) -> None:
    receiver.statuses = [200, 404]
    many = [episode(f"t{n}") for n in range(2 * MESSAGE + 1)]
    taken, failure = send(receiver.address, many, Delivery())
    assert taken == many[:MESSAGE]
    assert failure is not None
    assert [len(message["alerts"]) for message in receiver.messages] == [MESSAGE]


@pytest.mark.parametrize("given", ["ftp://host/x", "host/x", "http://", "http://host:port/s3cr3t", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused_without_being_shown(given: str) -> None:
    with pytest.raises(UsageError) as refused:
        webhook_address({"SHOAL_ALERT_WEBHOOK": given})
    assert str(refused.value) == "SHOAL_ALERT_WEBHOOK: not an address; expected http://HOST... or https://HOST..."


def test_an_address_is_shown_by_its_host() -> None:
    assert webhook_address({}) is None
    assert webhook_address({"SHOAL_ALERT_WEBHOOK": " "}) is None
    assert webhook_address({"SHOAL_ALERT_WEBHOOK": " https://a.example/x "}) == "https://a.example/x"
    assert shown_address("https://u:p@hooks.example:8443/T0/B0/xyz?k=v#f") == "https://hooks.example:8443"
    assert shown_address("http://[::1]:80/x") == "http://[::1]:80"
