"""The bytes of a picture by URL, or the status that says why there are none. No Spark: this is what a task runs.

Only hosts of an allow list are asked, and only at public addresses: the address that was checked is the one that is connected
to, so that a name which points elsewhere a moment later reaches nothing inside (DNS rebinding). Every redirect is a new URL to
check.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

import urllib3

from shoal.mine.image.opening import MISSING, TOO_LARGE, UNREADABLE

BLOCKED, UNREACHABLE = FETCH_STATUSES = ("blocked", "unreachable")
MOST_REDIRECTS = 3
PORTS = {"http": 80, "https": 443}
GONE = (404, 410)
# What a server says when it may answer later.
AGAIN = (408, 425, 429, 500, 502, 503, 504)
_CHUNK = 1 << 16
_AGENT = "shoal-pictures/1"


@dataclass(frozen=True)
class FetchRules:
    """Which URLs are fetched, and how. `hosts`: names, `*.name` for all below one, with `:port` where it is not 80 or 443.
    `seconds`: for connecting, for each wait for bytes, and for all of a picture ten times that. `retries`: after the first try,
    with twice the pause each time from `pause_seconds` on. `private`: whether private and loopback addresses may be asked."""

    hosts: tuple[str, ...]
    seconds: float
    retries: int
    pause_seconds: float
    max_bytes: int
    private: bool


@dataclass(frozen=True)
class Fetched:
    """The bytes, or the status of a picture that has none."""

    data: bytes | None
    status: str | None = None


def is_url(path: str) -> bool:
    """Whether a picture's path is one that is fetched."""
    return path.lower().startswith(("http://", "https://"))


def is_allowed(parts: SplitResult, rules: FetchRules) -> bool:
    """Whether the URL's host and port are in the allow list, without a user name in it."""
    host, port = parts.hostname, _port(parts)
    if parts.scheme not in PORTS or not host or port is None or parts.username is not None or parts.password is not None:
        return False
    for entry in rules.hosts:
        name, _, wanted = entry.lower().partition(":")
        if port != (int(wanted) if wanted.isdigit() else PORTS[parts.scheme]):
            continue
        if host == name or (name.startswith("*.") and host.endswith(name[1:])):
            return True
    return False


def fetch(url: str, rules: FetchRules, sleep: Callable[[float], None] = time.sleep) -> Fetched:
    """The bytes of a URL, or: blocked (a host that is not allowed, an address that is private, too many redirects), missing (404,
    410), too_large (more than max_bytes), unreadable (another refusal by the server: it will not change), unreachable (no answer in
    time, a name that is not known, a server's error, after all tries)."""
    for attempt in range(rules.retries + 1):
        found = _follow(url, rules)
        if found.status != UNREACHABLE:
            return found
        if attempt < rules.retries:
            sleep(rules.pause_seconds * 2**attempt)
    return found


def _follow(url: str, rules: FetchRules) -> Fetched:
    """One try, with its redirects."""
    until = time.monotonic() + 10 * rules.seconds
    for _ in range(MOST_REDIRECTS + 1):
        try:
            parts = urlsplit(url)
            if not is_allowed(parts, rules):
                return Fetched(None, BLOCKED)
            address = _address(parts, rules)
        except ValueError:
            return Fetched(None, BLOCKED)
        except OSError:
            return Fetched(None, UNREACHABLE)
        if address is None:
            return Fetched(None, BLOCKED)
        found = _ask(parts, address, rules, until)
        if isinstance(found, Fetched):
            return found
        url = urljoin(url, found)
    return Fetched(None, BLOCKED)


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return None


def _address(parts: SplitResult, rules: FetchRules) -> str | None:
    """The first address of the host; None where any of its addresses is not public and that is not allowed."""
    found = [str(one[4][0]) for one in socket.getaddrinfo(parts.hostname, _port(parts), type=socket.SOCK_STREAM)]
    if not rules.private and not all(ipaddress.ip_address(one.partition("%")[0]).is_global for one in found):
        return None
    return found[0]


def _ask(parts: SplitResult, address: str, rules: FetchRules, until: float) -> Fetched | str:
    """The answer of one address, or where it sends us."""
    timeout = urllib3.Timeout(connect=rules.seconds, read=rules.seconds)
    port = _port(parts)
    if parts.scheme == "https":
        pool: urllib3.HTTPConnectionPool = urllib3.HTTPSConnectionPool(
            address, port, timeout, 1, retries=False, server_hostname=parts.hostname, assert_hostname=parts.hostname
        )
    else:
        pool = urllib3.HTTPConnectionPool(address, port, timeout, 1, retries=False)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Host": parts.netloc, "User-Agent": _AGENT, "Accept": "image/*", "Accept-Encoding": "identity"}
    with pool:
        try:
            answer = pool.urlopen("GET", target, headers=headers, redirect=False, preload_content=False)
            try:
                return _read(answer, rules, until)
            finally:
                answer.close()
        except (urllib3.exceptions.HTTPError, OSError):
            return Fetched(None, UNREACHABLE)


def _read(answer: urllib3.BaseHTTPResponse, rules: FetchRules, until: float) -> Fetched | str:
    if 300 <= answer.status < 400 and answer.headers.get("Location"):
        return answer.headers["Location"]
    if answer.status != 200:
        status = MISSING if answer.status in GONE else UNREACHABLE if answer.status in AGAIN else UNREADABLE
        return Fetched(None, status)
    parts, size = [], 0
    for part in answer.stream(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > rules.max_bytes:
            return Fetched(None, TOO_LARGE)
        if time.monotonic() > until:
            return Fetched(None, UNREACHABLE)
    return Fetched(b"".join(parts))
