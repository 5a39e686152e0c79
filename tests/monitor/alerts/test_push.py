"""`shoal metrics --push`: a real push gateway, with and without a login, one that is away, and what is said of a wrong address."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import requests
from shoal.cli.watch import metrics
from shoal.errors import TransientError, UsageError
from shoal.monitor.alerts.delivery import Delivery
from shoal.monitor.alerts.exposition import Gauge
from shoal.monitor.alerts.push import Gateway, gateway_of, push
from shoal.testing.debian import program
from shoal.testing.node import free_ports

from tests.monitor.alerts.test_alertmanager import process

NOW = Delivery(sleep=lambda seconds: None)
LOGIN = {"SHOAL_PUSH_USER": "shoal", "SHOAL_PUSH_PASSWORD": "hidden word"}
# bcrypt of "hidden word".
HASH = "$2b$04$abcdefghijklmnopqrstuuzdiUnruaB0xNLcav5HLfjFfd1fy96Yy"


def gauges(*jobs: str) -> list[Gauge]:
    labels = [(("job", job), ("stage", "train")) for job in jobs]
    return [Gauge("shoal_run_success", "1 where it succeeded", dict.fromkeys(labels, 1.0))]


def up(address: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            requests.get(f"{address}/-/ready", timeout=2)
            return
        except requests.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def series(address: str, login: tuple[str, str] | None = None) -> list[str]:
    text = requests.get(f"{address}/metrics", auth=login, timeout=5).text
    return sorted(line for line in text.splitlines() if line.startswith("shoal_"))


def test_a_push_takes_the_place_of_the_groups_last_one_and_leaves_other_lakes(tmp_path: Path) -> None:
    gateway = program("prometheus-pushgateway")
    if gateway is None:
        pytest.skip("prometheus-pushgateway is not there (python -m shoal.testing.debian)")
    port, secured = free_ports(2)
    (tmp_path / "web.yml").write_text(json.dumps({"basic_auth_users": {"shoal": HASH}}))
    plain, closed = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{secured}"
    with (
        process(tmp_path, "plain", [gateway, f"--web.listen-address=127.0.0.1:{port}"]),
        process(tmp_path, "closed", [gateway, f"--web.listen-address=127.0.0.1:{secured}", "--web.config.file=web.yml"]),
    ):
        up(plain)
        push(gateway_of(f"{plain}/", {}), "/lakes/a b ü", gauges("train_sentiment", "build_users"), NOW)
        push(gateway_of(plain, {}), "other", gauges("build_users"), NOW)
        push(gateway_of(plain, {}), "/lakes/a b ü", gauges("train_sentiment"), NOW)
        assert series(plain) == [
            'shoal_run_success{exported_job="build_users",instance="",job="shoal",lake="other",stage="train"} 1',
            'shoal_run_success{exported_job="train_sentiment",instance="",job="shoal",lake="/lakes/a b ü",stage="train"} 1',
        ]
        up(closed)
        with pytest.raises(UsageError, match=rf"^--push {closed}: status 401; SHOAL_PUSH_TOKEN, or SHOAL_PUSH_USER"):
            push(gateway_of(closed, {}), "l", gauges("a"), NOW)
        push(gateway_of(closed, LOGIN), "l", gauges("a"), NOW)
        assert len(series(closed, ("shoal", "hidden word"))) == 1


def test_a_gateway_that_is_away_is_one_line() -> None:
    slept: list[float] = []
    address = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(TransientError) as caught:
        push(Gateway(address, "Bearer hidden"), "l", gauges("a"), Delivery(sleep=slept.append))
    assert str(caught.value) == f"--push {address}: ConnectionError, 3 attempts" and slept == [0.5, 1.0]


def test_a_token_goes_as_a_bearer_and_a_login_as_basic() -> None:
    assert gateway_of("https://h", {"SHOAL_PUSH_TOKEN": "t"}) == Gateway("https://h", "Bearer t")
    assert gateway_of("https://h/base/", LOGIN) == Gateway("https://h/base", "Basic c2hvYWw6aGlkZGVuIHdvcmQ=")


@pytest.mark.parametrize(
    ("address", "environment", "says"),
    [
        ("gateway:9091", {}, "--push: expected http://HOST:PORT"),
        ("http://u:hidden@h", {}, "--push: expected http://HOST:PORT"),
        ("http://h?token=hidden", {}, "--push: expected http://HOST:PORT"),
        ("http://h:x", {}, "--push: expected http://HOST:PORT"),
        ("http://h", {"SHOAL_PUSH_USER": "u"}, "the environment has SHOAL_PUSH_USER alone"),
        ("http://h", {**LOGIN, "SHOAL_PUSH_TOKEN": "hidden"}, "the environment has SHOAL_PUSH_TOKEN and SHOAL_PUSH_USER"),
    ],
)
def test_mistakes_are_one_line_without_a_secret(address: str, environment: Mapping[str, str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        gateway_of(address, environment)
    assert str(caught.value).startswith(says) and "hidden" not in str(caught.value)


def test_the_command_needs_somewhere_to_write_before_it_opens_a_lake() -> None:
    with pytest.raises(UsageError, match="--output FILE or --push URL is needed"):
        metrics(None)
    with pytest.raises(UsageError, match="--push: expected http"):
        metrics(None, "gateway:9091")
