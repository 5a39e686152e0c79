"""Bearer tokens from SHOAL_TOKENS: who may ask for what, and until when.

`name:token:scopes[:expiry]`, with commas between tokens: `web:9f86d081884c7d65:read+write,jobs:2c26b46b68ffc68f:score:2027-01-31`.
Scopes: read, score, write, with + between; sql is for `shoal sql-server`, where the name is the user and the token the password.
expiry: the last day (UTC). The name is what logs and metrics show; a token never is.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from shoal.errors import UsageError

VARIABLE = "SHOAL_TOKENS"
SCOPES = READ, SCORE, WRITE, SQL = "read", "score", "write", "sql"
SHORTEST = 16
_FORM = "name:token:scopes[:expiry], as web:9f86d081884c7d65:read+write:2027-01-31"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class Token:
    """One token by its hash. `last_day`: None where it does not expire."""

    name: str
    digest: bytes
    scopes: frozenset[str]
    last_day: date | None


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A request without the right: the status of the answer, and one sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def parse_tokens(text: str) -> list[Token]:
    """The tokens of the variable's text. Raises UsageError, which never shows a token, for what has another form."""
    found: list[Token] = []
    for number, entry in enumerate((each for each in text.replace("\n", ",").split(",") if each.strip()), 1):
        parts = entry.strip().split(":")
        if len(parts) not in (3, 4) or not _NAME.fullmatch(parts[0]):
            raise UsageError(f"{VARIABLE}: entry {number} has another form; expected {_FORM}")
        name, token, scopes = parts[0], parts[1], frozenset(parts[2].split("+"))
        if len(token) < SHORTEST:
            raise UsageError(f"{VARIABLE}: the token of {name} has {len(token)} characters; expected at least {SHORTEST}")
        if not scopes <= set(SCOPES):
            raise UsageError(f"{VARIABLE}: the scopes of {name} are {parts[2]}; expected some of {'+'.join(SCOPES)}")
        try:
            last_day = date.fromisoformat(parts[3]) if len(parts) == 4 else None
        except ValueError:
            raise UsageError(f"{VARIABLE}: the expiry of {name} is {parts[3]}; expected a day as YYYY-MM-DD") from None
        if name in {each.name for each in found}:
            raise UsageError(f"{VARIABLE}: two tokens are called {name}; expected each name once")
        found.append(Token(name, _digest(token), scopes, last_day))
    return found


class Door:
    """Decides who a request is from. `tokens`: None lets everybody in, under the name `open`."""

    def __init__(self, tokens: Sequence[Token] | None, day: Callable[[], date]) -> None:
        self.tokens, self.day = tokens, day

    def admit(self, authorization: str | None, scope: str) -> str:
        """The name of the request's token. Raises Refused (401: absent, unknown, expired; 403: without the scope).

        Every token is compared, and each in constant time: an answer's time says nothing of how near a guess was.
        """
        if self.tokens is None:
            return "open"
        kind, _, given = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not given.strip():
            raise Refused(401, "a bearer token is needed: Authorization: Bearer TOKEN")
        digest, found = _digest(given.strip()), None
        for token in self.tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        if found is None:
            raise Refused(401, "this token is not known")
        if found.last_day is not None and self.day() > found.last_day:
            raise Refused(401, f"this token has expired on {found.last_day.isoformat()}")
        if scope not in found.scopes:
            raise Refused(403, f"this token has no scope {scope}")
        return found.name


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
