"""Ingest files of one source: every record into bronze, sound ones into silver, the others into quarantine.

Reads:  the files at --input (a .zip is unpacked below the lake first), and ops.ingest_files: a file whose content was
        ingested before is skipped
Writes: bronze.ratings, bronze.events, bronze.items, bronze.texts, bronze.edges, bronze.links ...: one row per record, sound or
        not, in the tables that the source's record types name
        silver.interactions, silver.items, silver.item_external_ids, silver.texts, silver.follows: one row per new or newer record
        silver.impressions and the others too, silver.users, silver.item_engagement, silver.images: rows that the same records
        give besides
        ops.quarantine     one row per rejected record, with rule, reason, file, line and the raw text
        ops.ingest_files   one row per file and record type, last of all: a file that is not in it is ingested again

A record is parsed once, into bronze. Every record ends in exactly one of silver, duplicates, quarantine, by the first silver table
of its record type; the run fails rather than lose one. The rows of a file carry its id, and a rerun after a kill replaces them.
Cost of a first load: one pass over the bytes for hash and cuts, one for parsing, one shuffle of 8-byte key hashes, three commits,
and one shuffle and commit for each further silver table. An input of at most 100 files and 1 MiB takes some 8 Spark jobs.
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import IngestConf
from shoal.ingest.ingestion import ingest
from shoal.ingest.sources.afterwards import AFTERWARDS
from shoal.ingest.sources.catalogue import SOURCES, parts_of
from shoal.lake.lake import Lake
from shoal.runner.command import run_job

_TYPES = [record_type for record_types in SOURCES.values() for record_type in record_types]
READS = ("ops.ingest_files",)
WRITES = (
    *sorted({t.bronze for t in _TYPES} | {t.silver for t in _TYPES} | {also.silver for t in _TYPES for also in t.also}),
    "ops.quarantine",
    "ops.ingest_files",
)
SETTINGS = ("privacy",)


def run(lake: Lake, conf: IngestConf, as_of: date, *, source: str, input: str) -> None:
    """Ingest what is new at `input`."""
    ingest(lake, conf, as_of, source, parts_of(source), input, AFTERWARDS.get(source))


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, IngestConf, argv)


if __name__ == "__main__":
    sys.exit(main())
