"""Pictures by URL, from a server on the loopback address."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from shoal.mine.image import fetching
from shoal.mine.image.fetching import FetchRules, fetch, is_allowed

BYTES = b"picture" * 100
ASKED: Counter[str] = Counter()


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        ASKED[self.path] += 1
        path = self.path.partition("?")[0]
        if path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.partition("?")[2] or self.path)
            self.end_headers()
            return
        status = {"/gone": 404, "/forbidden": 403, "/busy": 503}.get(path, 200)
        if path == "/second" and ASKED[self.path] > 1:
            status = 200
        elif path == "/second":
            status = 500
        self.send_response(status)
        self.send_header("Content-Length", str(len(BYTES) + (5 if path == "/cut" else 0)))
        self.end_headers()
        self.wfile.write(BYTES)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def rules(address: str, **changed: Any) -> FetchRules:
    given: dict[str, Any] = {
        "hosts": (address,),
        "seconds": 2.0,
        "retries": 0,
        "pause_seconds": 0.0,
        "max_bytes": 10_000,
        "private": True,
    }
    return FetchRules(**given | changed)


def test_bytes_come_and_what_does_not_come_has_a_status(address: str) -> None:
    assert fetch(f"http://{address}/ok?size=large", rules(address)).data == BYTES
    assert ASKED["/ok?size=large"] == 1
    found = {path: fetch(f"http://{address}/{path}", rules(address)).status for path in ("gone", "forbidden", "busy", "cut")}
    assert found == {"gone": "missing", "forbidden": "unreadable", "busy": "unreachable", "cut": "unreachable"}
    assert fetch(f"http://{address}/ok", rules(address, max_bytes=100)).status == "too_large"


def test_private_addresses_are_refused_before_anything_is_sent(address: str) -> None:
    strict = rules(address, private=False)
    assert fetch(f"http://{address}/secret", strict).status == "blocked"
    assert ASKED["/secret"] == 0
    for host in ("10.0.0.1", "169.254.169.254", "192.168.1.1", "172.16.0.1", "[::1]", "0.0.0.0"):  # noqa: S104
        # Names in brackets are IPv6 addresses, which the allow list names without them.
        assert fetch(f"http://{host}/", replace(strict, hosts=(host.strip("[]"),))).status == "blocked", host


def test_the_address_that_was_checked_is_the_one_that_is_asked(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is checked and private a moment later."""
    asked: list[str] = []
    port = int(address.partition(":")[2])

    def lookup(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(fetching.socket, "getaddrinfo", lookup)
    found = fetch(f"http://pictures.test:{port}/ok", rules(address, hosts=(f"pictures.test:{port}",)))
    assert found.data == BYTES
    # Once for the name; the connection has the address, of which a lookup finds itself.
    assert asked[0] == "pictures.test" and set(asked[1:]) <= {"127.0.0.1"}


def test_redirects_are_checked_again(address: str) -> None:
    assert fetch(f"http://{address}/to/1?/ok", rules(address)).data == BYTES
    assert fetch(f"http://{address}/to/2?http://elsewhere.test/ok", rules(address)).status == "blocked"
    assert fetch(f"http://{address}/to/3?file:///etc/passwd", rules(address)).status == "blocked"
    assert fetch(f"http://{address}/to/loop", rules(address)).status == "blocked"
    assert ASKED["/to/loop"] == 1 + fetching.MOST_REDIRECTS


def test_what_may_change_is_tried_again_after_a_pause(address: str) -> None:
    pauses: list[float] = []
    patient = rules(address, retries=3, pause_seconds=1.0)
    assert fetch(f"http://{address}/second", patient, pauses.append).data == BYTES
    assert pauses == [1.0]
    assert fetch(f"http://{address}/busy?again", patient, pauses.append).status == "unreachable"
    assert pauses == [1.0, 1.0, 2.0, 4.0] and ASKED["/busy?again"] == 4
    assert fetch(f"http://{address}/gone?again", patient, pauses.append).status == "missing"
    assert len(pauses) == 4
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
        assert fetch(f"http://{nobody}/", rules(nobody)).status == "unreachable"


def test_the_allow_list() -> None:
    few = rules("x", hosts=("*.a.test", "b.test", "c.test:8443"))
    allowed = ("http://x.a.test/1", "https://y.x.a.test/1", "https://b.test/", "https://B.TEST/", "https://c.test:8443/")
    refused = (
        "http://a.test/", "http://xa.test/", "https://b.test:8443/", "https://c.test/", "http://u@b.test/", "ftp://b.test/",
        "http://u:p@b.test/", "http://b.test:99999/", "http://b.test.evil.test/", "http:///b.test", "https://evil.test/b.test",
    )  # fmt: skip
    assert [url for url in (*allowed, *refused) if is_allowed(urlsplit(url), few)] == list(allowed)
