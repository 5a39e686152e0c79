"""Pseudonyms: an id becomes `p_` and its HMAC-SHA256 under a key that only the environment holds.

The same id is the same pseudonym everywhere, so joins work; without the key an id cannot be recovered, which a plain hash of a
small id space would allow. The key reaches Spark's workers inside the function that uses it: it is in no table, setting, plan or
log. A lake carries a check value of its key, so that no other key and no plain id is ever mixed in.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from shoal.conf.pseudonym_key import key_from_environment
from shoal.conf.sections import PrivacyConf

FORM = "^p_[0-9a-f]{64}$"


def pseudonym(key: bytes, value: str) -> str:
    """What stands for an id: `p_` and 64 hexadecimal digits. Blanks around an id are no part of it."""
    return "p_" + hmac.new(key, value.strip().encode(), hashlib.sha256).hexdigest()


def pseudonymiser(conf: PrivacyConf) -> Callable[[str], str] | None:
    """The function from an id to its pseudonym; None where ids stay plain. Raises UsageError without a key."""
    if not conf.pseudonymise:
        return None
    key = key_from_environment()
    return lambda value: pseudonym(key, value)
