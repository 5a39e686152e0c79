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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf import PrivacyConf
from shoal.contract import contract, contract_names
from shoal.errors import UsageError

if TYPE_CHECKING:
    from shoal.lake import Lake
    from shoal.sources.fields import Hide
    from shoal.sources.parts import Part

# A text to one with pseudonyms for the names that it holds.
NamesOf = Callable[[str], str]
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
# A page of a person, or of a post below it; Instagram's own pages are nobody's.
_PAGE = re.compile(
    r"(?i)\b((?:instagram|twitter|x|facebook)\.com/(?:_u/|stories/)?)"
    r"(?!(?:p|reels?|tv|explore|i|_u|stories|direct|accounts|hashtag)(?![\w.]))([\w.]*\w)"
)
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


def hider(conf: PrivacyConf) -> Hide | None:
    """The function from an id to its pseudonym; None where ids stay plain. Raises UsageError without a key."""
    if not conf.pseudonymise:
        return None
    key = key_from_environment()
    return lambda value: pseudonym(key, value)


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


def mask(key: bytes, text: str, named: NamesOf | None = None) -> str:
    """Words with @names, names in links to people's pages, and the names `named` finds as pseudonyms, mail addresses and telephone
    numbers taken out; other names without an @ stay."""
    found = _MAIL.sub("(mail)", text)
    found = named(found) if named else found
    found = _MENTION.sub(lambda m: m[0] if re.match(FORM, m[1]) else "@" + pseudonym(key, m[1]), found)
    found = _PAGE.sub(lambda m: m[0] if re.match(FORM, m[2]) else m[1] + pseudonym(key, m[2]), found)
    return _PHONE.sub("(phone)", found)


def names_replaced(key: bytes, ids: Mapping[str, str], min_length: int) -> NamesOf:
    """A function that puts pseudonyms in the place of whole names in a text. `ids`: the names, each with the id it stands for.

    Names shorter than `min_length` are found as they are written, others in any case; one without two characters and a letter, as
    "4", is found nowhere. The longest name counts where one holds another.
    """
    wanted = {name.strip(): of for name, of in ids.items() if len(name.strip()) > 1 and re.search(r"[^\W\d_]", name)}
    if not wanted:
        return lambda text: text
    folded = {name.casefold(): of for name, of in wanted.items()}
    parts = [f"(?i:{re.escape(n)})" if len(n) >= min_length else re.escape(n) for n in sorted(wanted, key=lambda n: (-len(n), n))]
    form = re.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)")
    return lambda text: form.sub(lambda m: pseudonym(key, wanted.get(m[0]) or folded.get(m[0].casefold(), m[0])), text)


def hide_people(records: DataFrame, part: Part, conf: PrivacyConf, others: Mapping[str, str] | None = None) -> DataFrame:
    """`records` as they were read (texts), without the raw record and without plain ids; as they are where ids stay plain.

    A field is personal as it says itself (`people`), else as its bronze column is by contract, or, where bronze has another, as
    silver's column of that name. Ids, names and lists of them become pseudonyms, also inside JSON; of the object of a user nothing
    else stays but counts and its date; of a link the post's id; words are masked or withheld. An empty id stays empty, and
    one that holds NUL becomes NUL alone: both are refused later. Where the part names people of its files (`names_in`, here
    `others`), words lose these names and those of their record's people. Narrow, in Arrow batches. Raises UsageError without a key.
    """
    if not conf.pseudonymise:
        return records
    key, keeps_words = key_from_environment(), conf.free_text == "mask"
    flags, min_length, more = _flags(part), conf.min_mention_length, dict(others or {})

    def hide(value: str) -> str:
        return pseudonym(key, value)

    def of_id(value: str) -> str:
        if value.lstrip().startswith("["):
            return json.dumps(_ids(value, hide))
        return value if not value.strip() else "\0" if "\0" in value else hide(value)

    def of_words(value: str, named: NamesOf | None = None) -> str:
        if value.lstrip().startswith(("[{", "{")):
            return json.dumps(_in_json(value, lambda one: mask(key, one, named), hide))
        return mask(key, value, named) if keeps_words else WITHHELD if value.strip() else value

    def of_person(value: str) -> str:
        return json.dumps(_person(json.loads(value), key)) if _is_json(value) else of_id(value)

    said: dict[str | None, Callable[[str], str]] = {"id": of_id, "person": of_person, "link": _post_of}
    functions: dict[str, Callable[[str], str]] = {"raw": lambda value: WITHHELD}
    for field in part.fields:
        name, kind, flag = field.name, field.kind, flags.get(field.name, False)
        if callable(field.people):
            functions[name] = _hiding(field.people, hide)
        elif field.people:
            if field.people in said:
                functions[name] = said[field.people]
        elif flag in ("id", "name", "mention") or (flag is True and kind == "id"):
            functions[name] = of_id
        elif flag or kind == "text":
            functions[name] = of_words

    with_names = [name for name, change in functions.items() if part.names_in and keeps_words and change is of_words]
    people = [f.name for f in part.fields if f.people == "id" or (not f.people and flags.get(f.name) in ("id", "name", "mention"))]

    def changed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        @lru_cache(1_000)
        def of_record(values: tuple[str | None, ...]) -> NamesOf:
            found = {one: one for value in values if value for one in _each_id(value)}
            return names_replaced(key, {**found, **more}, min_length)

        for batch in batches:
            columns = []
            # The names of a record's people, and so what becomes of its words, differ from row to row.
            rows = zip(*(batch.column(name).to_pylist() for name in people), strict=True) if with_names else ()
            named = [of_record(values) for values in rows]
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                change = functions.get(name)
                if change is None:
                    columns.append(column)
                    continue
                if name in with_names:
                    words = zip(column.to_pylist(), named, strict=True)
                    columns.append(pa.array([None if v is None else of_words(v, names) for v, names in words], pa.string()))
                    continue
                # One HMAC a value, not a row: a batch has few people.
                coded = column.dictionary_encode()
                values = [None if v is None else change(v) for v in coded.dictionary.to_pylist()]
                columns.append(pa.array(values, pa.string()).take(coded.indices))
            yield pa.RecordBatch.from_arrays(columns, names=batch.schema.names)

    return records.mapInArrow(changed, records.schema)


def _hiding(change: Callable[[str, Hide], str], hide: Hide) -> Callable[[str], str]:
    """A field's own way to lose its people, as a function of its text alone."""
    return lambda value: change(value, hide)


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


def _ids(text: str, hide: Hide) -> Any:
    """A JSON list of ids with their pseudonyms, also where a number or an object stands for an id; empty ones stay empty. What is
    no JSON is one id."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return hide(text)

    def walked(node: Any) -> Any:
        if isinstance(node, list):
            return [walked(each) for each in node]
        told = node if isinstance(node, str) else json.dumps(node, ensure_ascii=False)
        return node if node is None or not told.strip() else hide(told)

    return walked(value)


def _each_id(value: str) -> list[str]:
    """The ids in the text of an id or of a JSON list of them."""
    try:
        found = json.loads(value) if value.lstrip().startswith("[") else value
    except (ValueError, RecursionError):
        found = value
    return [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, str)]


def _in_json(text: str, change: Callable[[str], str], of_person: Callable[[str], str]) -> Any:
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
            return of_person(node) if name in PEOPLE_NAMES else change(node)
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
