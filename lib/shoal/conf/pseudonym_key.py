"""The key of pseudonyms: a secret that only the environment holds, and the check value that a lake carries of it."""

from __future__ import annotations

import hashlib
import hmac
import os

from shoal.conf.sections import PrivacyConf
from shoal.errors import UsageError

KEY = "SHOAL_PSEUDONYM_KEY"
SHORTEST_KEY = 32
PLAIN = "none"
WITHHELD = "(withheld: the lake is pseudonymised)"


def key_from_environment() -> bytes:
    """The key. Raises UsageError where SHOAL_PSEUDONYM_KEY is not set or too short to be kept from guessing."""
    found = os.environ.get(KEY, "")
    if not found:
        raise UsageError(f"{KEY} is not set; privacy.pseudonymise needs a key of at least {SHORTEST_KEY} characters in it")
    if len(found.encode()) < SHORTEST_KEY:
        raise UsageError(
            f"{KEY} has {len(found.encode())} bytes; expected at least {SHORTEST_KEY}, as `openssl rand -hex 32` makes them"
        )
    return found.encode()


def key_check_value(conf: PrivacyConf) -> str:
    """What the tables of a lake with these settings carry: `none`, or the key's check value. Raises UsageError without a key."""
    if not conf.pseudonymise:
        return PLAIN
    return hmac.new(key_from_environment(), b"check value of the key", hashlib.sha256).hexdigest()[:16]
