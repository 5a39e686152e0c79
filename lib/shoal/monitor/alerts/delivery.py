"""A message to an HTTP address: attempts with waits between them, and answers that are worth another one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import requests

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


@dataclass(frozen=True)
class Refusal:
    """Why a message was not taken. `status`: the receiver's answer, which another attempt would not change; None where all attempts
    failed."""

    failure: str
    status: int | None = None


def http_parts(address: str) -> SplitResult | None:
    """The parts of an http or https address with a host; None for anything else."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if usable else None


def shown_address(address: str) -> str:
    """The address without user, password, path and query, which may be secret."""
    parts = urlsplit(address)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def deliver(
    address: str,
    request: Callable[[requests.Session], requests.Response],
    is_taken: Callable[[requests.Response], bool],
    delivery: Delivery,
) -> Refusal | None:
    """Make `request`, to `address`, until it is taken; None then.

    A connection that fails, a time-out and the answers of AGAIN are tried again, `delivery.attempts` times in all; any other answer
    is final. A failure holds no part of the address.
    """
    failure = "no attempt"
    with requests.Session() as session:
        # A proxy of the environment does not lead to this machine.
        session.trust_env = urlsplit(address).hostname not in ("localhost", "127.0.0.1", "::1")
        for attempt in range(delivery.attempts):
            if attempt:
                delivery.sleep(delivery.wait_seconds * 2 ** (attempt - 1))
            try:
                answer = request(session)
            except requests.Timeout:
                failure = f"no answer within {delivery.timeout_seconds:g} s"
            except requests.RequestException as error:
                # The error's text has the address in it.
                failure = type(error).__name__
            else:
                answer.close()
                if is_taken(answer):
                    return None
                failure = f"status {answer.status_code}"
                if answer.status_code not in AGAIN:
                    return Refusal(failure, answer.status_code)
    return Refusal(f"{failure}, {delivery.attempts} attempts")
