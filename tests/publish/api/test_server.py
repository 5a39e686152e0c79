"""The server as a process: start, refusals, TLS, a new version under load, SIGTERM. `shoal serve` without Spark."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from shoal.testing.node import free_ports

from tests.publish.api.conftest import VALUES, write_version
from tests.support.certificates import signed


def command(lake: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "shoal", "serve", "--lake", str(lake), *more]


@contextmanager
def serving(lake: Path, *more: str, tokens: str = "") -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A server on a free port; ended at the end of the block."""
    port = free_ports(1)[0]
    given = {**os.environ, "SHOAL_TOKENS": tokens}
    with subprocess.Popen(command(lake, "--port", str(port), *more), stderr=subprocess.PIPE, text=True, env=given) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if '"event":"serving"' in line:
                    break
            else:
                pytest.fail("the server did not come up")
            # Its log is read, so that its pipe never fills.
            lines: list[str] = []
            threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True).start()
            yield port, process
        finally:
            if process.poll() is None:
                process.kill()


def get(url: str, token: str = "", context: ssl.SSLContext | None = None) -> dict[str, object]:
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310
    with urllib.request.urlopen(asked, timeout=10, context=context) as answer:  # noqa: S310
        return dict(json.loads(answer.read()))


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    write_version(tmp_path / "lake" / "published", "v1", VALUES)
    return tmp_path / "lake"


def test_a_new_version_under_load_fails_no_request_and_sigterm_ends_with_0(lake: Path) -> None:
    seen: list[str] = []
    with serving(lake, tokens="r:0123456789abcdef:read") as (port, process):
        url, stop = f"http://127.0.0.1:{port}/recommendations?user_id=u1&k=2", threading.Event()

        def reading() -> None:
            while not stop.is_set():
                seen.append(str(get(url, "0123456789abcdef")["version"]))

        readers = [threading.Thread(target=reading) for _ in range(2)]
        for each in readers:
            each.start()
        write_version(lake / "published", "v2", VALUES)
        deadline = time.monotonic() + 60
        while seen[-1:] != ["v2"] and time.monotonic() < deadline:
            time.sleep(0.05)
        stop.set()
        for each in readers:
            each.join()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert set(seen) == {"v1", "v2"} and seen == sorted(seen)


def test_tls(lake: Path, tmp_path: Path) -> None:
    authority = signed("authority")
    server = signed("server", authority)
    for name, text in (("ca", authority.certificate), ("cert", server.certificate), ("key", server.key)):
        (tmp_path / f"{name}.pem").write_text(text)
    with serving(lake, "--open", "--certificate", str(tmp_path / "cert.pem"), "--key", str(tmp_path / "key.pem")) as (port, _):
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        assert get(f"https://127.0.0.1:{port}/ready", context=context)["version"] == "v1"


@pytest.mark.parametrize(
    ("more", "tokens", "code", "says"),
    [
        ([], "", 2, "SHOAL_TOKENS is not set: name:token:scopes[:expiry], with commas between; --open serves without tokens"),
        ([], "a:short:read", 2, "SHOAL_TOKENS: the token of a has 5 characters; expected at least 16"),
        (["--open", "--host", "0.0.0.0"], "", 2, "--open: serves without tokens, and only to this machine; --host 0.0.0.0 needs"),  # noqa: S104
        (["--open", "--store", "other"], "", 2, "--store other: expected one of lmdb, redis, postgres"),
        (["--open", "--certificate", "x.pem"], "", 2, "--certificate and --key: TLS needs both"),
        (["--open", "--set", "publish.folder=empty"], "", 3, "nothing was published there; `shoal publish` does"),
    ],
)
def test_what_cannot_be_served_is_one_line(lake: Path, more: list[str], tokens: str, code: int, says: str, tmp_path: Path) -> None:
    port = str(free_ports(1)[0])
    done = subprocess.run(
        command(lake, "--port", port, *more), capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "SHOAL_TOKENS": tokens},
    )  # fmt: skip
    assert done.returncode == code and len(done.stderr.splitlines()) == 1 and says in done.stderr


def test_a_port_that_is_taken_is_one_line(lake: Path) -> None:
    with serving(lake, "--open") as (port, _):
        done = subprocess.run(command(lake, "--open", "--port", str(port)), capture_output=True, text=True, check=False)
        assert done.returncode == 4 and "the address is taken or not allowed" in done.stderr.splitlines()[-1]


def test_the_server_imports_no_spark() -> None:
    code = "import sys; import shoal.publish.api.server; assert not {'pyspark', 'py4j', 'mlflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
