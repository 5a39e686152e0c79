"""The rows that records give further silver tables: a person that a message names, the picture of a product."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.record_type import DerivedTable
from shoal.ingest.small_triage import Lookup, SilverKeys, SilverRow, collect_keys, look_up
from shoal.ingest.triage import TriagedBatch
from shoal.ingest.validation import rows_of
from shoal.lake.contract import contract
from shoal.lake.lake import Lake

Output = tuple[str, bool]


def write_derived_tables(lake: Lake, conf: IngestConf, source: str, triaged: Sequence[TriagedBatch]) -> None:
    """Write the rows that the batches' sound records give further tables, one commit a table; a rerun writes the same rows again.

    After all of the batches' own silver tables: a derived row must not take the key of a record. Of a table with rows of both
    kinds, those that keep the newest come first: the others only fill gaps.
    """
    outputs: dict[Output, list[tuple[DataFrame, DerivedTable]]] = {}
    for each in triaged:
        sound = each.sound_rows()
        for also in each.batch.record_type.also if each.batch.sound() else ():
            outputs.setdefault((also.silver, also.keeps_newest), []).append((sound, also))
    is_small = all(each.batch.keys is not None for each in triaged)
    ordered = sorted(outputs, key=lambda output: not output[1])
    frames = {output: rows_of(outputs[output], conf, is_small) for output in ordered}
    if is_small:
        _write_small(lake, source, ordered, frames)
        return
    for output in ordered:
        silver, newest = output
        (lake.upsert if newest else lake.insert_if_absent)(silver, frames[output].withColumn("source", F.lit(source)), unique=True)


def _write_small(lake: Lake, source: str, outputs: Sequence[Output], frames: dict[Output, DataFrame]) -> None:
    """The rows of a small input: all keys are collected with one Spark job and looked for with another, and a table that has none
    of them is appended to; rows that it has with equal values are not written again."""
    place = (F.lit("").alias("_file"), F.lit(0).cast("bigint").alias("_line"), F.lit(None).cast("string").alias("_rule"))
    collected, _ = collect_keys([(frames[each].select(*place, "*"), contract(each[0]), None) for each in outputs])
    keys = dict(zip(outputs, collected, strict=True))
    tables = {name: SilverKeys(lake.version(name)) for name in dict.fromkeys(name for name, _ in outputs)}
    wanted = {name: {row.key for each in outputs if each[0] == name for row in keys[each]} for name in tables}
    there = [name for name, each in tables.items() if each.version >= 0 and wanted[name]]
    lookups = [Lookup(lake.read_current(name), contract(name), wanted[name]) for name in there]
    for name, found in zip(there, look_up(lookups), strict=True):
        tables[name].rows.update(found)
    for output in outputs:
        (name, newest), silver = output, tables[output[0]]
        met = {row.key: silver.rows[row.key] for row in keys[output] if row.key in silver.rows}
        changed = {row.key for row in keys[output] if row.key in met and met[row.key].content != row.content}
        rows = frames[output].withColumn("source", F.lit(source))
        left = {row.key for row in keys[output]} - set(met) | (changed if newest else set())
        if not left:
            continue
        # What this output writes is there for the next one of the same table.
        silver.rows.update({row.key: SilverRow(row.content, source, lake.run.run_id) for row in keys[output] if row.key in left})
        if len(left) < len(keys[output]):
            made = contract(name)
            ours = lake.spark.createDataFrame(sorted(left), "_h bigint, _h2 bigint").coalesce(1)
            hashed = rows.withColumns({"_h": F.xxhash64(*made.key), "_h2": F.xxhash64(F.lit(1), *made.key)})
            rows = hashed.join(F.broadcast(ours), ["_h", "_h2"], "left_semi").drop("_h", "_h2")
        if newest and changed:
            lake.upsert(name, rows, unique=True)
            silver.version = lake.version(name)
            continue
        lake.create(name)
        with lake.sole_writer(name):
            now = lake.version(name)
            is_same = now == silver.version or (silver.version == -1 and now == 0)
            lake.append_known_new(name, rows, now if is_same else -2, renew=newest)
            silver.version = lake.version(name) if is_same else -2
