"""A file of `shoal metrics`, a real Prometheus, a real Alertmanager, a webhook: an alert goes all the way."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from shoal.monitor.alerts.exposition import exposition
from shoal.monitor.alerts.gauges import Gauge
from shoal.testing.debian import command as command_of
from shoal.testing.node import free_ports

RULES = Path(__file__).resolve().parents[3] / "deploy" / "prometheus" / "rules.yaml"
WAIT_SECONDS = 60


class Web(ThreadingHTTPServer):
    """Answers GET /metrics with `text`, and keeps the bodies of what is posted."""

    text = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.posted: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Web

    def do_GET(self) -> None:
        self._answer(self.server.text.encode())

    def do_POST(self) -> None:
        self.server.posted.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@contextmanager
def web() -> Iterator[Web]:
    server = Web()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def process(folder: Path, name: str, command: list[str]) -> Iterator[None]:
    with (folder / f"{name}.log").open("wb") as log:
        started = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def runs_of(success: float) -> str:
    """What `shoal metrics` writes of one job whose last run failed, or did not."""
    labels = (("job", "train_sentiment"), ("stage", "train"))
    now = time.time()
    return exposition([
        Gauge("shoal_run_success", "1 where the last run succeeded", {labels: success}),
        Gauge("shoal_metrics_written_timestamp_seconds", "when this was written", {(): now}),
    ])  # fmt: skip


def wait_for(server: Web, status: str) -> dict[str, Any]:
    """The first posted alert of ShoalRunFailed with that status."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        for message in list(server.posted):
            for alert in message["alerts"]:
                if (alert["labels"]["alertname"], alert["status"]) == ("ShoalRunFailed", status):
                    return alert
        time.sleep(0.2)
    raise AssertionError(f"no {status} alert in {WAIT_SECONDS} s; posted: {server.posted}")


@pytest.mark.slow
def test_an_alert_of_the_rules_reaches_a_webhook_and_is_resolved(tmp_path: Path) -> None:
    port, sender = free_ports(2)
    manager = command_of("prometheus-alertmanager", "--config.file=alertmanager.yml", f"--web.listen-address=127.0.0.1:{sender}",
                         "--cluster.listen-address=", "--storage.path=alertmanager")  # fmt: skip
    watcher = command_of("prometheus", "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}",
                         "--storage.tsdb.path=data")  # fmt: skip
    if manager is None or watcher is None:
        pytest.skip("prometheus and prometheus-alertmanager are not there, or may not run apart (python -m shoal.testing.debian)")
    with web() as server:
        server.text = runs_of(0.0)
        here = f"127.0.0.1:{server.server_port}"
        # JSON is YAML.
        (tmp_path / "alertmanager.yml").write_text(json.dumps({
            "route": {"receiver": "hook", "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"},
            "receivers": [{"name": "hook", "webhook_configs": [{"url": f"http://{here}/hook", "send_resolved": True}]}],
        }))  # fmt: skip
        (tmp_path / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{sender}"]}]}]},
            "scrape_configs": [{"job_name": "shoal", "honor_labels": True, "static_configs": [{"targets": [here]}]}],
        }))  # fmt: skip
        with process(tmp_path, "alertmanager", manager), process(tmp_path, "prometheus", watcher):
            fired = wait_for(server, "firing")
            assert fired["labels"]["severity"] == "critical"
            assert fired["labels"]["job"] == "train_sentiment"
            assert fired["annotations"]["summary"] == "the last run of train_sentiment failed"
            server.text = runs_of(1.0)
            assert wait_for(server, "resolved")["labels"] == fired["labels"]
