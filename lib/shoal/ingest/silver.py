"""The sound records of a triaged batch as rows of the silver table of their record type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from pyspark.sql import DataFrame

from shoal.conf.sections import IngestConf
from shoal.errors import ContractError, TransientError
from shoal.ingest.small_triage import SilverKeys
from shoal.ingest.triage import TriagedBatch, triaged_again
from shoal.lake.lake import Lake

# No version of a table.
_STALE = -2


def write_silver_tables(
    lake: Lake, conf: IngestConf, triaged: Sequence[TriagedBatch], known: Mapping[str, SilverKeys]
) -> list[TriagedBatch]:
    """Write the batches' rows, and return their triage. Small batches of one table, none of which meets a row of silver or of
    another batch, are one commit."""
    written: dict[int, TriagedBatch] = {}
    for name in dict.fromkeys(each.batch.record_type.silver for each in triaged):
        places = [i for i, each in enumerate(triaged) if each.batch.record_type.silver == name]
        together = [i for i in places if triaged[i].batch.keys is not None and triaged[i].written()]
        is_free = len(together) > 1 and not any(triaged[i].meets_silver for i in together)
        if is_free and _write_together(lake, conf, [triaged[i] for i in together], known[name]):
            written.update({i: triaged[i] for i in together})
        for i in places:
            if i not in written:
                of_table = known.get(name) if triaged[i].batch.keys is not None else None
                written[i], _ = write_silver(lake, conf, triaged[i], of_table)
    return [written[i] for i in range(len(triaged))]


def _write_together(lake: Lake, conf: IngestConf, triaged: Sequence[TriagedBatch], known: SilverKeys) -> bool:
    """Append the rows of several small batches in one commit; False, and nothing is done, where silver has changed since."""
    name = triaged[0].batch.record_type.silver
    lake.create(name)
    with lake.sole_writer(name):
        now = lake.version(name)
        if not lake.is_local or (now != known.version and not (known.version == -1 and now == 0)):
            return False
        rows = reduce(DataFrame.unionByName, [each.silver_rows(conf) for each in triaged]).coalesce(1)
        expected = sum(each.written() for each in triaged)
        wrote = lake.append_known_new(name, rows, now)
        if wrote != expected:
            raise ContractError(f"{name}: {expected:,} sound records of the batches, {wrote:,} rows written")
        known.version = lake.version(name)
    return True


def write_silver(lake: Lake, conf: IngestConf, triaged: TriagedBatch, known: SilverKeys | None = None) -> tuple[TriagedBatch, int]:
    """Write the batch's rows, and return its triage and the number of rows that silver has of it.

    The lock of those who write by keys is held. Where silver has another version than was looked at, as when a stream has written
    meanwhile, the batch is triaged again first. `known`: what this run knows of the table, its own writes included. A stream's
    batch that is done again counts the rows of the earlier attempt, by its transaction. Raises ContractError where another number
    of rows arrives than expected; with a catalog, where no lock is, TransientError.
    """
    name = triaged.batch.record_type.silver
    lake.create(name)
    with lake.sole_writer(name):
        looked_at = triaged.silver_version if known is None else known.version
        now = lake.version(name)
        # Version 0 makes the table, without a row.
        is_stale = now != looked_at and not (looked_at == -1 and now == 0)
        if is_stale:
            triaged = triaged_again(lake, conf, triaged)
        rows = _write(lake, conf, triaged, now)
        if known is not None:
            # What other writers have written concerns this run's later batches too: each of them looks again.
            known.version = _STALE if is_stale else lake.version(name)
    return triaged, rows


def _write(lake: Lake, conf: IngestConf, triaged: TriagedBatch, version: int) -> int:
    """The commit of `write_silver`, on top of `version`."""
    batch, expected = triaged.batch, triaged.written()
    name, keeps_newest = batch.record_type.silver, batch.record_type.keeps_newest
    is_again = batch.is_repeated and batch.txn is not None and batch.sound() > 0
    if not expected and not is_again:
        return 0
    rows = triaged.silver_rows(conf)
    if batch.keys is not None:
        rows = rows.coalesce(1)
    if is_again:
        # The earlier attempt's commit counts, where there is one; else this is the first.
        return (lake.upsert if keeps_newest else lake.insert_if_absent)(name, rows, unique=True, txn=batch.txn)
    if triaged.meets_silver:
        # Of a table that keeps the first, only rows of a run that did not finish are met: the same values, from now on this run's.
        wrote = lake.upsert(name, rows, unique=True, txn=batch.txn)
    else:
        wrote = lake.append_known_new(name, rows, version, batch.txn, renew=keeps_newest)
    if wrote != expected:
        if not lake.is_local:
            raise TransientError(f"{name}: other writers have written some of the batch's keys meanwhile; run the command again")
        raise ContractError(f"{name}: {expected:,} sound records of the batch, {wrote:,} rows written")
    return wrote
