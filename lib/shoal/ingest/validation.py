"""Records to the columns of their silver tables, each with its verdict: the first rule it breaks. Batch and stream share it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.contract_checks import fault_of, fault_of_rows
from shoal.ingest.fields import fault, typed
from shoal.ingest.record_type import DerivedTable, RecordType
from shoal.lake.contract import Contract, contract

_FORM = ("_file", "_line", "raw", "_fault")


def silver_columns(part: RecordType | DerivedTable) -> list[str]:
    """The silver columns that a record gives, without `source` and `run_id`."""
    return [name for name in contract(part.silver).columns if name not in ("source", "run_id")]


def with_fields(records: DataFrame, part: RecordType, conf: IngestConf, as_of: date) -> DataFrame:
    """The part's `records` with typed fields in place of their texts, and `_fault`: what is wrong with a record's form or first
    bad field."""
    if part.null is not None:
        records = records.withColumns({f.name: F.when(F.col(f.name) != part.null, F.col(f.name)) for f in part.fields})
    form = F.when(F.col("_rule").isNotNull(), F.struct(F.col("_rule").alias("rule"), F.col("_reason").alias("reason")))
    # A step of their own: where a value stands in several conditions, Spark would make it anew for each.
    staged = records.withColumns({f"_typed_{field.name}": typed(field, conf) for field in part.fields})
    values = {field.name: F.col(f"_typed_{field.name}") for field in part.fields}
    faults = [fault(field, values[field.name], conf, as_of) for field in part.fields]
    fielded = staged.select("_file", "_line", "raw", F.coalesce(form, *faults).alias("_fault"), *_named(values))
    return fielded.where(part.takes()) if part.takes else fielded


def with_verdict(fielded: DataFrame, part: RecordType, conf: IngestConf) -> DataFrame:
    """`fielded` as bronze's columns with `_rule` and `_reason`: the first rule a record breaks, null where it is sound.

    Bronze's columns are silver's, or the fields where the part says so: a record is sound where each row that it
    gives fits its table's contract.
    """
    if part.fields_in_bronze:
        judged = _judged_by_all(fielded, part, conf)
        kept = [F.col(f"_fields.{field.name}").alias(field.name) for field in part.fields]
    else:
        made: Contract = contract(part.silver)
        columns = silver_columns(part)
        silver = fielded.select(*_FORM, *_named(part.made(conf)))
        judged = silver.withColumn("_fault", F.coalesce("_fault", *_checks(part, conf)))
        kept = [F.col(name).cast(made.columns[name].type).alias(name) for name in columns]
    rule, reason = F.col("_fault.rule").alias("_rule"), F.col("_fault.reason").alias("_reason")
    return judged.select("_file", "_line", "raw", rule, reason, *kept)


def as_bronze(judged: DataFrame, batch_id: Column, source: str, at: datetime) -> DataFrame:
    """`judged` with its provenance: the file's or the batch's id, the source, and when it was ingested."""
    return judged.withColumns({"_batch_id": batch_id, "_source": F.lit(source), "_ingested_at": F.lit(at)})


def as_quarantine(rejects: DataFrame, source: str, part: RecordType) -> DataFrame:
    """Rejected bronze rows as rows of ops.quarantine."""
    return rejects.select(
        F.col("_batch_id").alias("batch_id"), F.lit(source).alias("source"), F.lit(part.name).alias("record_type"),
        F.col("_file").alias("file"), F.col("_line").alias("line"), F.col("_rule").alias("rule"),
        F.coalesce("_reason", F.lit("")).alias("reason"), "raw", F.col("_ingested_at").alias("ingested_at"),
    )  # fmt: skip


def silver_of(bronze: DataFrame, part: RecordType, conf: IngestConf, *others: str) -> DataFrame:
    """Rows of the part's bronze table as _file, _line, the columns `others` of bronze, and the columns of its silver table."""
    columns = silver_columns(part)
    if not part.fields_in_bronze:
        return bronze.select("_file", "_line", *others, *columns)
    made = contract(part.silver)
    values = part.made(conf)
    return bronze.select("_file", "_line", *others, *[values[n].cast(made.columns[n].type).alias(n) for n in columns])


def rows_of(sources: Sequence[tuple[DataFrame, DerivedTable]], conf: IngestConf, is_small: bool = False) -> DataFrame:
    """The rows that records of bronze tables give one further silver table, each key once: the last record's by file and line
    where the newest is kept, else the first's, of the rows with the fewest nulls where that is preferred. The outputs are of one
    table, and all keep the newest or none. One shuffle by key; where the input `is_small`, one partition and no shuffle.
    """
    also = sources[0][1]
    made, columns = contract(also.silver), silver_columns(also)
    rows = reduce(DataFrame.unionByName, [_derived(bronze, each, conf) for bronze, each in sources])
    rows = rows.coalesce(1) if is_small else rows
    # An aggregate, not a window: it is combined before the shuffle.
    pick, place = (F.max_by if also.keeps_newest else F.min_by), F.struct("_gaps", "_file", "_line", "_place")
    gaps = [F.col(name).isNull().cast("int") for name in columns] if also.prefers_complete else []
    rows = rows.withColumn("_gaps", reduce(Column.__add__, gaps, F.lit(0)))
    others = F.struct(*[name for name in columns if name not in made.key], F.lit(0).alias("_filled"))
    chosen = rows.groupBy(*made.key).agg(pick(others, place).alias("_others"))
    return chosen.select(*[name if name in made.key else F.col("_others")[name].alias(name) for name in columns])


def _derived(bronze: DataFrame, also: DerivedTable, conf: IngestConf) -> DataFrame:
    """The rows of one output, with the record's _file and _line and the row's _place in the record."""
    made, columns = contract(also.silver), silver_columns(also)
    found = bronze.where(also.where()) if also.where else bronze
    value = also.made(conf)
    if isinstance(value, Column):
        each = found.select("_file", "_line", F.posexplode(value).alias("_place", "_row"))
        return each.select("_file", "_line", "_place", *_typed(made, {name: F.col("_row")[name] for name in columns}))
    return found.select("_file", "_line", F.lit(0).alias("_place"), *_typed(made, value))


def _judged_by_all(fielded: DataFrame, part: RecordType, conf: IngestConf) -> DataFrame:
    """`_FORM` and `_fields`, with the fault of the first output that a record's rows do not fit."""
    outputs: dict[str, Column] = {"_out": _row(part, part.made(conf))}
    for i, also in enumerate(part.also):
        value = also.made(conf)
        made = _rows(also, value) if isinstance(value, Column) else _row(also, value)
        outputs[f"_out{i}"] = F.when(also.where(), made) if also.where else made
    fields = F.struct(*[field.name for field in part.fields]).alias("_fields")
    frame = fielded.select(*_FORM, fields, *_named(outputs))
    kept = frame.columns
    every: tuple[RecordType | DerivedTable, ...] = (part, *part.also)
    for i, output in enumerate(every):
        at = f"_out{i - 1}" if i else "_out"
        columns = silver_columns(output)
        if isinstance(output, DerivedTable) and isinstance(output.made(conf), Column):
            frame = frame.withColumn("_fault", F.coalesce("_fault", fault_of_rows(contract(output.silver), columns, at)))
            continue
        wide = frame.select(*kept, *[F.col(at)[name].alias(name) for name in columns])
        checks = [F.when(F.col(at).isNotNull(), check) for check in _checks(output, conf)]
        frame = wide.withColumn("_fault", F.coalesce("_fault", *checks)).select(*kept)
    return frame


def _checks(output: RecordType | DerivedTable, conf: IngestConf) -> list[Column]:
    """The faults of an output's row, whose silver columns stand under their names."""
    own = [output.checked(conf)] if isinstance(output, RecordType) and output.checked else []
    return [fault_of(contract(output.silver), silver_columns(output)), *own]


def _row(output: RecordType | DerivedTable, values: dict[str, Column]) -> Column:
    """An output's row as a struct."""
    return F.struct(*_typed(contract(output.silver), {name: values[name] for name in silver_columns(output)}))


def _rows(also: DerivedTable, value: Column) -> Column:
    """An output's rows as an array of structs; a cast of the array would go by position, not by name."""
    made, columns = contract(also.silver), silver_columns(also)
    return F.transform(value, lambda row: F.struct(*_typed(made, {name: row[name] for name in columns})))


def _typed(made: Contract, values: dict[str, Column]) -> list[Column]:
    """The columns under their names and of their types."""
    return [value.cast(made.columns[name].type).alias(name) for name, value in values.items() if name in made.columns]


def _named(values: dict[str, Column]) -> list[Column]:
    """The columns under their names."""
    return [value.alias(name) for name, value in values.items()]
