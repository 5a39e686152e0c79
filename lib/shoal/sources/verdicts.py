"""Records to the columns of their silver table, each with its verdict: the first rule it breaks. Batch and stream share it."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.conf import IngestConf
from shoal.contract import Contract, contract
from shoal.quality import fault_of
from shoal.sources.fields import fault, typed
from shoal.sources.parts import Part


def silver_columns(part: Part) -> list[str]:
    """The silver columns that a record gives, `source` and `run_id` left out."""
    return [name for name in contract(part.silver).columns if name not in ("source", "run_id")]


def with_fields(records: DataFrame, part: Part, conf: IngestConf, as_of: date) -> DataFrame:
    """`records` with typed fields in place of their texts, and `_fault`: what is wrong with a record's form or first bad field."""
    form = F.when(F.col("_rule").isNotNull(), F.struct(F.col("_rule").alias("rule"), F.col("_reason").alias("reason")))
    values = {field.name: typed(field, conf) for field in part.fields}
    faults = [fault(field, values[field.name], conf, as_of) for field in part.fields]
    return records.select("_file", "_line", "raw", F.coalesce(form, *faults).alias("_fault"), *_named(values))


def with_verdict(fielded: DataFrame, part: Part, conf: IngestConf) -> DataFrame:
    """`fielded` as silver's columns with `_rule` and `_reason`: the first rule a record breaks, null where it is sound."""
    made: Contract = contract(part.silver)
    columns = silver_columns(part)
    silver = fielded.select("_file", "_line", "raw", "_fault", *_named(part.made(conf)))
    checks = [fault_of(made, columns), *([part.checked(conf)] if part.checked else [])]
    judged = silver.withColumn("_fault", F.coalesce("_fault", *checks))
    kept = [F.col(name).cast(made.columns[name].type).alias(name) for name in columns]
    return judged.select(
        "_file", "_line", "raw", F.col("_fault.rule").alias("_rule"), F.col("_fault.reason").alias("_reason"), *kept
    )


def _named(values: dict[str, Column]) -> list[Column]:
    """The columns under their names."""
    return [value.alias(name) for name, value in values.items()]
