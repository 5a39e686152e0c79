"""Files whose columns of numbers count, whatever they are called: any table, and accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.fields import NOTHING, Field, typed
from shoal.ingest.formats.files import quoted, read_rows
from shoal.ingest.formats.names import plain
from shoal.ingest.sources.post_files import ACCOUNT_FIELDS, read_table


@dataclass(frozen=True)
class NumberTable:
    """rows: `row` (struct of the file's own columns), `position` (bigint, ascending in the order of the file), and a double a
    column of numbers; `numbers`: that double's name -> the file's. `columns`: all names of the file."""

    rows: DataFrame
    numbers: dict[str, str]
    columns: list[str]


def read_numbers(spark: SparkSession, path: str | Path, others: Sequence[str], conf: IngestConf) -> NumberTable:
    """The rows of a file with its columns of numbers but `others`, which must be there.

    A column is one of numbers where every value is a number, a count as 12.3k, a share as 4%, true or false (1 and 0), or empty,
    and one at least is not empty. Infinite ones and NaN count as empty. Raises InputError as shoal.ingest.formats.files.read_rows
    does. One pass besides; the rows are cached.
    """
    rows = read_rows(spark, path, others, conf=conf.model_copy(update={"column_mapping": {}}))
    candidates = [name for name in rows.columns if name not in others]
    names = {f"number_{i}": name for i, name in enumerate(candidates)}
    texts = rows.select(
        F.struct(*[F.col(quoted(name)) for name in rows.columns]).alias("row"),
        F.monotonically_increasing_id().alias("position"),
        *[F.lower(F.trim(F.col(quoted(name)).cast("string"))).alias(key) for key, name in names.items()],
    )
    numbers = {key: _number_of(key, conf) for key in names}
    blank = ("", *NOTHING)
    table = texts.select(
        "row",
        "position",
        *[F.when(~F.isnan(number) & (F.abs(number) < 1e300), number).alias(key) for key, number in numbers.items()],
        *[(number.isNull() & ~F.col(key).isin(*blank)).alias(f"{key}_text") for key, number in numbers.items()],
    ).persist()
    if not candidates:
        return NumberTable(table, {}, rows.columns)
    seen = table.agg(*[F.max(f"{k}_text").alias(f"{k}_text") for k in names], *[F.count(k).alias(k) for k in names]).collect()[0]
    usable = {key: name for key, name in names.items() if not seen[f"{key}_text"] and seen[key]}
    return NumberTable(table.select("row", "position", *usable), usable, rows.columns)


def _number_of(name: str, conf: IngestConf) -> Column:
    """The number of a text in lower case: 1.5, true (1), 12.3k or 1,234, 4% (.04); null for another."""
    text = F.col(name)
    share = F.when(text.endswith("%"), F.regexp_replace(text, "%", "").cast("double") / 100.0)
    flag = F.when(text == "true", F.lit(1.0)).when(text == "false", F.lit(0.0))
    return F.coalesce(text.cast("double"), flag, typed(Field(name, "count"), conf).cast("double"), share)


def read_accounts(spark: SparkSession, path: Path, conf: IngestConf, required: tuple[str, ...]) -> tuple[DataFrame, dict[str, str]]:
    """`row`, `position`, `followers` and the columns of numbers; those doubles' names -> what they are called.

    `following` and the day on which an account was made are read as ingest reads them, whatever a file calls them.
    """
    fields = [field for field in ACCOUNT_FIELDS if field.name in ("followers", "following", "created_at")]
    known = read_table(spark, path, fields, _only(conf, fields), required)
    table = read_numbers(spark, path, [], conf)
    # An id of digits is no number.
    taken = {plain(name) for field in ACCOUNT_FIELDS if field.name != "is_verified" for name in (field.name, *field.aliases)}
    numbers = {
        k: name for k, name in table.numbers.items() if plain(name) not in taken and name not in conf.column_mapping.values()
    }
    typed = known.select(
        "position", "followers", F.col("following").cast("double").alias("following"),
        (F.unix_timestamp("created_at") / 86_400.0).alias("created_day"),
    )  # fmt: skip
    numbers |= {"following": "following", "created_day": "created_at"}
    return table.rows.join(typed, "position"), numbers


def _only(conf: IngestConf, fields: list[Field]) -> IngestConf:
    """The settings with the renames of these fields only; a rename of an account's other columns is none of theirs."""
    ours = {plain(name) for field in fields for name in (field.name, *field.aliases)}
    others = {plain(name) for field in ACCOUNT_FIELDS for name in (field.name, *field.aliases)} - ours
    return conf.model_copy(update={"column_mapping": {k: v for k, v in conf.column_mapping.items() if plain(k) not in others}})
