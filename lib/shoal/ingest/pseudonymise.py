"""Records without plain ids: what ingest does to them before anything of them is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf.pseudonym_key import key_from_environment
from shoal.conf.sections import PrivacyConf
from shoal.ingest.fields import Hide
from shoal.ingest.record_type import RecordType
from shoal.lake.contract import contract, contract_names
from shoal.privacy.masking import (
    FORM,
    WITHHELD,
    NamesOf,
    each_id,
    ids_in_json,
    is_json,
    mask,
    masked_json,
    masked_person,
    names_replaced,
    post_of_link,
)
from shoal.privacy.pseudonyms import pseudonym


def hide_people(records: DataFrame, part: RecordType, conf: PrivacyConf, others: Mapping[str, str] | None = None) -> DataFrame:
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
            return json.dumps(ids_in_json(value, hide))
        return value if not value.strip() else "\0" if "\0" in value else hide(value)

    def of_words(value: str, named: NamesOf | None = None) -> str:
        if value.lstrip().startswith(("[{", "{")):
            return json.dumps(masked_json(value, lambda one: mask(key, one, named), hide))
        return mask(key, value, named) if keeps_words else WITHHELD if value.strip() else value

    def of_person(value: str) -> str:
        return json.dumps(masked_person(json.loads(value), key)) if is_json(value) else of_id(value)

    by_kind: dict[str | None, Callable[[str], str]] = {"id": of_id, "person": of_person, "link": post_of_link}
    functions: dict[str, Callable[[str], str]] = {"raw": lambda value: WITHHELD}
    for field in part.fields:
        name, kind, flag = field.name, field.kind, flags.get(field.name, False)
        if callable(field.people):
            functions[name] = _of_text(field.people, hide)
        elif field.people:
            if field.people in by_kind:
                functions[name] = by_kind[field.people]
        elif flag in ("id", "name", "mention") or (flag is True and kind == "id"):
            functions[name] = of_id
        elif flag or kind == "text":
            functions[name] = of_words

    with_names = [name for name, change in functions.items() if part.names_in and keeps_words and change is of_words]
    people = [f.name for f in part.fields if f.people == "id" or (not f.people and flags.get(f.name) in ("id", "name", "mention"))]

    def changed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        @lru_cache(1_000)
        def of_record(values: tuple[str | None, ...]) -> NamesOf:
            found = {one: one for value in values if value for one in each_id(value)}
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


def _of_text(change: Callable[[str, Hide], str], hide: Hide) -> Callable[[str], str]:
    """A field's own way to lose its people, as a function of its text alone."""
    return lambda value: change(value, hide)


def _flags(part: RecordType) -> dict[str, bool | str]:
    """How each column is personal, by name: bronze's own, then any of silver's."""
    found: dict[str, bool | str] = {}
    for name in contract_names():
        if contract(name).layer == "silver":
            for column, spec in contract(name).columns.items():
                found[column] = found.get(column) or spec.pii
    return found | {column: spec.pii for column, spec in contract(part.bronze).columns.items()}


def withheld(judged: DataFrame, part: RecordType, conf: PrivacyConf) -> DataFrame:
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
    hidden = judged.withColumn("_reason", F.when(F.col("_reason").isNotNull(), short))
    # In a record whose columns are swapped an id may stand anywhere.
    kept = made.personal("id", "name", "mention", True)
    for name in judged.columns:
        is_words = "string" in made.columns[name].type and not name.startswith("_") and name not in ("raw", *kept)
        if is_words:
            hidden = hidden.withColumn(name, F.when(F.col("_rule").isNull(), F.col(name)))
    for name in made.personal("id", "name"):
        plain = F.col(name).isNotNull() & ~F.col(name).rlike(FORM)
        hidden = hidden.withColumns(
            {
                "_reason": F.when(F.col("_rule").isNull() & plain, F.lit(f"{name}: {WITHHELD}")).otherwise(F.col("_reason")),
                "_rule": F.when(F.col("_rule").isNull() & plain, F.lit("not_pseudonymised")).otherwise(F.col("_rule")),
                name: F.when(~plain, F.col(name)),
            }
        )
    return hidden
