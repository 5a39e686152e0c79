"""Pseudonyms: an id becomes `p_` and its HMAC-SHA256 under a key that only the environment holds.

The same id is the same pseudonym everywhere, so joins work; without the key nobody gets from one to the other, which a plain
hash of a small id space would let everybody do. The key goes to Spark's workers inside the function that uses it, as every
function does: it is in no table, setting, plan or log. What a lake carries is a check value of it, so that no other key and no
plain id is ever mixed in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf import PrivacyConf
from shoal.contract import contract, contract_names
from shoal.errors import UsageError

if TYPE_CHECKING:
    from shoal.lake import Lake
    from shoal.sources.parts import Part

KEY = "SHOAL_PSEUDONYM_KEY"
SHORTEST_KEY = 32
PROPERTY = "shoal.pseudonyms"
PLAIN = "none"
WITHHELD = "(withheld: the lake is pseudonymised)"
FORM = "^p_[0-9a-f]{64}$"
MARKED = ("bronze", "silver")
PEOPLE_NAMES = ("user_id", "owner_id", "author_id", "src_id", "dst_id", "other_id", "username", "sender_name")
# What of a user's object stays, besides its names and ids under pseudonyms.
PERSON_IDS = ("id", "id_str", "username", "screen_name")
PERSON_COUNTS = ("created_at", "followers_count", "friends_count", "following_count", "public_metrics")
# Counts, and dates as ISO 8601 or Twitter's own.
_PLAIN = re.compile(r"[\d,.]+[kmb]?|[\dTZ:+. -]+|[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d? [\d:]+ [+-]\d{4} \d{4}")
_STATUS = re.compile(r"/status(?:es)?/(\d+)")
_MENTION = re.compile(r"(?<!\w)@(\w(?:[\w.-]*\w)?)")
_MAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
# Seven digits and more, as people write numbers; a year or a price has fewer.
_PHONE = re.compile(r"(?<![\w.])\+?\d(?:[\s()/.-]{0,2}\d){6,}(?!\w)")


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


def pseudonym(key: bytes, value: str) -> str:
    """What stands for an id: `p_` and 64 hexadecimal digits. Blanks around an id are no part of it."""
    return "p_" + hmac.new(key, value.strip().encode(), hashlib.sha256).hexdigest()


def mark_of(conf: PrivacyConf) -> str:
    """What the tables of a lake with these settings carry: `none`, or the key's check value. Raises UsageError without a key."""
    if not conf.pseudonymise:
        return PLAIN
    return hmac.new(key_from_environment(), b"check value of the key", hashlib.sha256).hexdigest()[:16]


def mark_of_lake(lake: Lake) -> str | None:
    """What the lake's tables carry; None for a lake without a table of records yet."""
    for name in contract_names():
        if contract(name).layer in MARKED and lake.exists(name):
            return lake.properties(name).get(PROPERTY, PLAIN)
    return None


def refuse_mixing(lake: Lake) -> None:
    """Raise UsageError where this run would bring plain ids into a pseudonymised lake, pseudonyms into a plain one, or
    pseudonyms under another key."""
    wanted, there = mark_of(lake.settings.privacy), mark_of_lake(lake)
    if there is None or there == wanted:
        return
    if there == PLAIN:
        raise UsageError("privacy.pseudonymise=true: the lake holds plain ids, which pseudonyms do not join with; use a new --lake")
    if wanted == PLAIN:
        raise UsageError("privacy.pseudonymise=false: this lake is pseudonymised; --set privacy.pseudonymise=true and its key")
    raise UsageError(f"{KEY} is not the key that this lake was made with; its pseudonyms would not join with those there")


def known_as(lake: Lake, ids: Sequence[str]) -> list[str]:
    """The ids as the lake knows them: pseudonyms in a pseudonymised lake. Raises UsageError without its key."""
    there = mark_of_lake(lake)
    if there in (None, PLAIN):
        return list(ids)
    key = key_from_environment()
    if there != mark_of(lake.settings.privacy.model_copy(update={"pseudonymise": True})):
        raise UsageError(f"{KEY} is not the key that this lake was made with")
    return [pseudonym(key, value) for value in ids]


def mask(key: bytes, text: str) -> str:
    """Words with @names as pseudonyms, mail addresses and telephone numbers taken out; names without an @ stay."""
    found = _MAIL.sub("(mail)", text)
    found = _MENTION.sub(lambda m: "@" + pseudonym(key, m[1]), found)
    return _PHONE.sub("(phone)", found)


def hide_people(records: DataFrame, part: Part, conf: PrivacyConf) -> DataFrame:
    """`records` as they were read (texts), without the raw record and without plain ids; as they are where ids stay plain.

    A field is personal as it says itself (`people`), else as its bronze column is by contract, or, where bronze has another, as
    silver's column of that name. Ids, names and lists of them become pseudonyms, also inside JSON; of the object of a user nothing
    else stays but counts and its date; of a link the post's id; words are masked or withheld. An empty id stays empty, and
    one that holds NUL becomes NUL alone: both are refused later. Narrow, in Arrow batches. Raises UsageError without a key.
    """
    if not conf.pseudonymise:
        return records
    key, keeps_words = key_from_environment(), conf.free_text == "mask"
    flags = _flags(part)

    def of_id(value: str) -> str:
        if value.lstrip().startswith("["):
            return json.dumps(_in_json(value, lambda one: pseudonym(key, one), None))
        return value if not value.strip() else "\0" if "\0" in value else pseudonym(key, value)

    def of_words(value: str) -> str:
        if value.lstrip().startswith(("[{", "{")):
            return json.dumps(_in_json(value, lambda one: mask(key, one), lambda one: pseudonym(key, one)))
        return mask(key, value) if keeps_words else WITHHELD if value.strip() else value

    def of_person(value: str) -> str:
        return json.dumps(_person(json.loads(value), key)) if _is_json(value) else of_id(value)

    said: dict[str | None, Callable[[str], str]] = {"id": of_id, "person": of_person, "link": _post_of}
    functions: dict[str, Callable[[str], str]] = {"raw": lambda value: WITHHELD}
    for field in part.fields:
        name, kind, flag = field.name, field.kind, flags.get(field.name, False)
        if field.people:
            if field.people in said:
                functions[name] = said[field.people]
        elif flag in ("id", "name", "mention") or (flag is True and kind == "id"):
            functions[name] = of_id
        elif flag or kind == "text":
            functions[name] = of_words

    def changed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = []
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                change = functions.get(name)
                if change is None:
                    columns.append(column)
                    continue
                # One HMAC a value, not a row: a batch has few people.
                coded = column.dictionary_encode()
                values = [None if v is None else change(v) for v in coded.dictionary.to_pylist()]
                columns.append(pa.array(values, pa.string()).take(coded.indices))
            yield pa.RecordBatch.from_arrays(columns, names=batch.schema.names)

    return records.mapInArrow(changed, records.schema)


def _is_json(value: str) -> bool:
    """Whether a text is a JSON object or array."""
    try:
        return isinstance(json.loads(value), (dict, list))
    except (ValueError, RecursionError):
        return False


def _person(node: Any, key: bytes) -> Any:
    """A user's object, or a list of them, with pseudonyms and without whatever else it says."""
    if isinstance(node, list):
        return [_person(each, key) for each in node]
    if not isinstance(node, dict):
        return pseudonym(key, str(node))
    ids = {name: None if node[name] is None else pseudonym(key, str(node[name])) for name in PERSON_IDS if name in node}
    return ids | {name: _counts(node[name]) for name in PERSON_COUNTS if name in node}


def _counts(value: Any) -> Any:
    """A count, a date, or an object of counts, without other words: what a hostile object puts there does not get through."""
    if isinstance(value, dict):
        return {name: _counts(each) for name, each in value.items() if name in PERSON_COUNTS and not isinstance(each, dict)}
    return value if isinstance(value, (int, float)) or (isinstance(value, str) and _PLAIN.fullmatch(value)) else None


def _post_of(value: str) -> str:
    """A link to a post without its author; any other link is withheld."""
    found = _STATUS.search(value)
    return f"https://twitter.com/i/status/{found[1]}" if found else WITHHELD


def _flags(part: Part) -> dict[str, bool | str]:
    """How each column is personal, by name: bronze's own, then any of silver's."""
    found: dict[str, bool | str] = {}
    for name in contract_names():
        if contract(name).layer == "silver":
            for column, spec in contract(name).columns.items():
                found[column] = found.get(column) or spec.pii
    return found | {column: spec.pii for column, spec in contract(part.bronze).columns.items()}


def _in_json(text: str, change: Callable[[str], str], of_person: Callable[[str], str] | None) -> Any:
    """A JSON text's value with its strings changed; those under a name that ends in user_id, owner_id and the like by
    `of_person`. What is no JSON is one string."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return change(text)

    def walked(node: Any, name: str = "") -> Any:
        if isinstance(node, dict):
            return {k: walked(v, k) for k, v in node.items()}
        if isinstance(node, list):
            return [walked(v, name) for v in node]
        if isinstance(node, str):
            return of_person(node) if of_person and name in PEOPLE_NAMES else change(node)
        return node

    return walked(value)


def withheld(judged: DataFrame, part: Part, conf: PrivacyConf) -> DataFrame:
    """`judged` records without what could still hold a plain id; as they are where ids stay plain.

    A rejected record keeps its pseudonyms and numbers and no words; a reason the column it is about and no value. A value in an id
    column that is no pseudonym becomes null and its record is rejected (rule not_pseudonymised): no way past `hide_people` ends in
    silver.
    """
    if not conf.pseudonymise:
        return judged
    made = contract(part.bronze)
    about = F.regexp_extract("_reason", r"^([a-z_]+): ", 1)
    fields = {*made.columns, *(field.name for field in part.fields)}
    short = F.when(about.isin(*sorted(fields)), F.concat(about, F.lit(f": {WITHHELD}"))).otherwise(F.lit(WITHHELD))
    told = judged.withColumn("_reason", F.when(F.col("_reason").isNotNull(), short))
    # In a record whose columns are swapped an id may stand anywhere.
    kept = made.personal("id", "name", "mention", True)
    for name in judged.columns:
        is_words = "string" in made.columns[name].type and not name.startswith("_") and name not in ("raw", *kept)
        if is_words:
            told = told.withColumn(name, F.when(F.col("_rule").isNull(), F.col(name)))
    for name in made.personal("id", "name"):
        plain = F.col(name).isNotNull() & ~F.col(name).rlike(FORM)
        told = told.withColumns({
            "_reason": F.when(F.col("_rule").isNull() & plain, F.lit(f"{name}: {WITHHELD}")).otherwise(F.col("_reason")),
            "_rule": F.when(F.col("_rule").isNull() & plain, F.lit("not_pseudonymised")).otherwise(F.col("_rule")),
            name: F.when(~plain, F.col(name)),
        })
    return told
