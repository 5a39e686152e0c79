"""An ingest from its input to ops.ingest_files: the order of the writes, and what refuses a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date

from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.errors import InputError, UsageError
from shoal.ingest.batches import Candidates, FileBatch, FoundFiles, find_candidates
from shoal.ingest.bronze import ParsedInput, parse_large, parse_small, write_bronze
from shoal.ingest.derived_tables import keys_by_table, write_derived_tables
from shoal.ingest.fields import refuse_unknown_pattern
from shoal.ingest.formats.archives import archives_of, unpack, unpacked_aside
from shoal.ingest.record_type import RecordType
from shoal.ingest.silver import write_silver_tables
from shoal.ingest.small_triage import SilverKeys
from shoal.ingest.triage import Batch, TriagedBatch, find_duplicates_and_conflicts, quarantine
from shoal.ingest.unfinished import note_unfinished, strike_finished
from shoal.lake.contract import contract
from shoal.lake.lake import Lake
from shoal.privacy.guard import check_pseudonymisation

# What a source does with silver once its rows are there; safe to repeat.
Afterwards = Callable[[Lake, IngestConf], None]


@dataclass(frozen=True)
class FileCounts:
    """What became of a file's records."""

    records: int
    ingested: int
    duplicates: int
    rejected: int


def ingest(
    lake: Lake,
    conf: IngestConf,
    as_of: date,
    source: str,
    record_types: Sequence[RecordType],
    given: str,
    afterwards: Afterwards | None = None,
) -> None:
    """Write what is new at `given`, a file or a folder, into the lake; see jobs/ingest/ingest_files.py.

    Archives are unpacked first, below the lake, in a pseudonymised lake aside and only for as long. Raises UsageError, InputError.
    """
    privacy = lake.settings.privacy
    # Before anything can fail.
    lake.run.withholds_message = privacy.pseudonymise and any(each.hidden_path for each in record_types)
    check_pseudonymisation(lake)
    refuse_unknown_pattern(lake.spark, conf)
    archives = archives_of(given)
    if len(archives) > conf.max_files:
        raise InputError(f"{given}: {len(archives):,} archives, more than max_files={conf.max_files:,}")
    if archives != [given] and not any(each.depends_on for each in record_types):
        # In other folders a .zip is most often what the files beside it came from.
        lake.run.note(**({"zip_files_unread": len(archives)} if archives else {}))
        archives = []
    if archives and privacy.pseudonymise and any(each.of_pictures for each in record_types):
        raise UsageError(f"{given}: a pseudonymised lake keeps no pictures of an archive; unpack it elsewhere and name the folder")
    with ExitStack() as stack:
        if not privacy.pseudonymise and lake.is_local:
            unpacked = [unpack(each, lake.root, conf) for each in archives]
        else:
            unpacked = stack.enter_context(unpacked_aside(archives, lake.address, conf)) if archives else []
        folders = [str(folder) for folder in unpacked]
        candidates = find_candidates(lake, conf, source, record_types, given, folders)
        parsed = (parse_small if candidates.is_small else parse_large)(lake, conf, as_of, candidates)
        lake.run.note(source=source, files=sum(len(each.batch.surveys) for each in parsed.files))
        lake.run.note(files_ingested_before=parsed.found.ingested_before)
        lake.run.rows_in["files"] = 0
        if parsed.files:
            _write(lake, conf, candidates, parsed, afterwards)


def _write(lake: Lake, conf: IngestConf, candidates: Candidates, parsed: ParsedInput, afterwards: Afterwards | None) -> None:
    """The writes, in their order: bronze, quarantine, silver, derived tables, ops.ingest_files."""
    source = candidates.source
    ids = [each for batch in parsed.found.batches for each in batch.ids.values()]
    note_unfinished(lake, ids)
    batches = write_bronze(lake, parsed.files)
    lake.run.rows_in["files"] = sum(batch.records() for batch in batches)
    known: dict[str, SilverKeys] = {}
    triaged: list[TriagedBatch] = []
    try:
        triaged = find_duplicates_and_conflicts(lake, conf, batches, known, keys_by_table(parsed.derived or ()))
        quarantine(lake, triaged)
        refuse_new_names(batches)
        refuse_bad_input(conf, candidates.given, triaged)
        triaged = write_silver_tables(lake, conf, triaged, known)
        write_derived_tables(lake, conf, source, triaged, parsed.derived, known)
        if afterwards:
            afterwards(lake, conf)
        _record_files(lake, source, parsed.found, triaged)
        strike_finished(lake, ids)
    finally:
        for each in triaged:
            each.release()


def refuse_new_names(batches: Sequence[Batch]) -> None:
    """Raise InputError where JSON records have names that no field uses and bronze's contract takes none, as for a column of
    other files; but a record's names are known only once it was read, so they are in bronze and quarantine."""
    for batch in batches:
        records = sum(n for (_, rule), n in batch.counts.items() if rule == "unknown_column")
        if not records:
            continue
        rows = batch.rows.where("_rule = 'unknown_column'")
        first = rows.select("_file", "_line", "_reason").orderBy("_file", "_line").limit(1).collect()[0]
        raise InputError(
            f"{first['_file']}:{first['_line']}: {first['_reason']}, and {records - 1:,} more such records; silver is as it was; "
            f"leave it out, or name what it is with --set column_mapping.OURS=THEIRS ({batch.record_type.bronze})"
        )


def refuse_bad_input(conf: IngestConf, given: str, triaged: Sequence[TriagedBatch]) -> None:
    """Raise InputError where more than ingest.max_reject_ratio of the records are rejected; names the rule that most break."""
    total = sum(each.batch.records() for each in triaged)
    rules: dict[tuple[str, int], int] = {}
    for i, each in enumerate(triaged):
        for (_, rule), n in [*each.batch.counts.items(), ((None, "duplicate_key"), each.verdict("conflict"))]:
            if rule is not None and n:
                rules[rule, i] = rules.get((rule, i), 0) + n
    rejected = sum(rules.values())
    if not total or rejected <= conf.max_reject_ratio * total:
        return
    rule, worst = max(rules, key=lambda key: rules[key])
    rejects = triaged[worst].rejected_rows().where(F.col("_rule") == rule)
    example = rejects.select("_file", "_line", "_reason").orderBy("_file", "_line").limit(1).collect()[0]
    raise InputError(
        f"{given}: {rejected:,} of {total:,} records rejected, more than max_reject_ratio={conf.max_reject_ratio:g}; "
        f"silver is as it was; most break {rule!r}, as {example['_file']}:{example['_line']}: {example['_reason']}"
    )


def file_counts(triaged: TriagedBatch) -> dict[str, FileCounts]:
    """What became of the records of each file that has any, by its name in the lake."""
    # By file once: a look through all counts for each of 20,000 files takes minutes.
    rules: dict[str, dict[str | None, int]] = {}
    for (file, rule), n in triaged.batch.counts.items():
        rules.setdefault(file, {})[rule] = n
    found = {}
    for file, counts in rules.items():
        duplicates, conflicts = (triaged.verdicts.get((file, name), 0) for name in ("duplicate", "conflict"))
        records, sound = sum(counts.values()), counts.get(None, 0)
        found[file] = FileCounts(records, sound - duplicates - conflicts, duplicates, records - sound + conflicts)
    return found


def _record_files(lake: Lake, source: str, found: FoundFiles, triaged: Sequence[TriagedBatch]) -> None:
    """Append a row a file to ops.ingest_files, which marks it as done, and add up the run."""
    rows: list[tuple[object, ...]] = []
    totals = {"ingested": 0, "duplicates": 0, "rejected": 0}
    for batch, each in zip(found.batches, triaged, strict=True):
        counts = file_counts(each)
        for survey in batch.surveys:
            of_file = counts.get(survey.shown, FileCounts(0, 0, 0, 0))
            rows.append(_file_row(batch, survey.shown, source, found.settings_hash, survey.sha256, survey.bytes, of_file))
            totals = {name: n + getattr(of_file, name) for name, n in totals.items()}
    names = [name for name in contract("ops.ingest_files").columns if name not in ("ingested_at", "run_id")]
    types = ", ".join(f"{name} {contract('ops.ingest_files').columns[name].type}" for name in names)
    frame = lake.spark.createDataFrame(rows, types).withColumn("ingested_at", F.lit(lake.run.started_at))
    lake.append("ops.ingest_files", frame.coalesce(1), unique=True)
    lake.run.note(**totals)


def _file_row(
    batch: FileBatch, name: str, source: str, settings_hash: str, sha256: str, size: int, counts: FileCounts
) -> tuple[object, ...]:
    """A row of ops.ingest_files, but for ingested_at and run_id."""
    numbers = (counts.records, counts.ingested, counts.duplicates, counts.rejected)
    return (batch.ids[name], source, batch.record_type.name, name, sha256, settings_hash, size, *numbers)
