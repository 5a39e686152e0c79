"""Whether a lake is pseudonymised and by which key, and what a run may bring into it."""

from __future__ import annotations

from collections.abc import Sequence

from shoal.conf.pseudonym_key import KEY, PLAIN, key_check_value, key_from_environment
from shoal.errors import UsageError
from shoal.lake.contract import contract, contract_names
from shoal.lake.lake import PSEUDONYMISED_LAYERS, PSEUDONYMS_PROPERTY, Lake
from shoal.privacy.pseudonyms import pseudonym


def mark_of_lake(lake: Lake) -> str | None:
    """What the lake's tables carry; None for a lake without a table of records yet."""
    for name in contract_names():
        if contract(name).layer in PSEUDONYMISED_LAYERS and lake.exists(name):
            return lake.properties(name).get(PSEUDONYMS_PROPERTY, PLAIN)
    return None


def check_pseudonymisation(lake: Lake) -> None:
    """Raise UsageError where this run would bring plain ids into a pseudonymised lake, pseudonyms into a plain one, or
    pseudonyms under another key."""
    wanted, there = key_check_value(lake.settings.privacy), mark_of_lake(lake)
    if there is None or there == wanted:
        return
    if there == PLAIN:
        raise UsageError("privacy.pseudonymise=true: the lake holds plain ids, which pseudonyms do not join with; use a new --lake")
    if wanted == PLAIN:
        raise UsageError("privacy.pseudonymise=false: this lake is pseudonymised; --set privacy.pseudonymise=true and its key")
    raise UsageError(f"{KEY} is not the key that this lake was made with; its pseudonyms would not join with those there")


def to_lake_ids(lake: Lake, ids: Sequence[str]) -> list[str]:
    """The ids as the lake knows them: pseudonyms in a pseudonymised lake. Raises UsageError without its key."""
    there = mark_of_lake(lake)
    if there in (None, PLAIN):
        return list(ids)
    key = key_from_environment()
    if there != key_check_value(lake.settings.privacy.model_copy(update={"pseudonymise": True})):
        raise UsageError(f"{KEY} is not the key that this lake was made with")
    return [pseudonym(key, value) for value in ids]
