"""The new files of an input, by record type, each under an id of its own by which its rows are replaced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.errors import InputError
from shoal.ingest.fields import Hide
from shoal.ingest.formats.listing import Survey, list_files, survey_files
from shoal.ingest.formats.storage import is_file
from shoal.ingest.record_type import RecordType
from shoal.ingest.small_triage import without_adaptive_execution
from shoal.ingest.unfinished import unfinished_ids
from shoal.lake.lake import Lake
from shoal.lake.migration import literal
from shoal.privacy.pseudonyms import pseudonymiser

# Settings that do not change what a record becomes: a file read with other values of these is the same file.
NOT_PARSING = {"max_reject_ratio", "max_files", "split_bytes", "zip_max_bytes", "zip_max_members", "zip_max_ratio"}
# Values up to this number stand in the query itself, which spares Spark a table of them.
FEW_VALUES = 1_000
# An input up to this size is read into one partition a record type, and the keys of its records are compared on the driver: some
# 25,000 short records, of which the driver holds 50 bytes each.
SMALL_FILES, SMALL_BYTES = 100, 1 << 20


@dataclass(frozen=True)
class FileBatch:
    """The new files of one record type. ids: name in the lake -> file id. resumed: the ids of those of which an earlier run, which
    did not finish them, has left rows in bronze."""

    record_type: RecordType
    surveys: Sequence[Survey]
    ids: Mapping[str, str]
    resumed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Candidates:
    """The files of an input that hold anything, whether or not they were ingested before.

    surveys: by name of the record type. ids: the file id by record type and path. settings_hash: of the settings that determine
    what a record becomes.
    """

    given: str
    source: str
    record_types: Sequence[RecordType]
    surveys: Mapping[str, Sequence[Survey]]
    ids: Mapping[tuple[str, str], str]
    settings_hash: str

    @property
    def is_small(self) -> bool:
        """Whether all files fit into SMALL_FILES and SMALL_BYTES; the size of a compressed one is not known."""
        return _are_small([survey for surveys in self.surveys.values() for survey in surveys])

    def all_files(self) -> list[FileBatch]:
        """All of them by record type, as if each was new."""
        filled = [(each, self.surveys[each.name]) for each in self.record_types if self.surveys[each.name]]
        return [FileBatch(each, surveys, {s.shown: self.ids[each.name, s.path] for s in surveys}) for each, surveys in filled]


@dataclass(frozen=True)
class FoundFiles:
    """The batches of an input's new files, how many files were ingested before, and the hash of the settings."""

    batches: Sequence[FileBatch]
    ingested_before: int
    settings_hash: str


@dataclass(frozen=True)
class KnownFiles:
    """What the lake has of the files of an input: (record type, content hash) of those ingested, and the
    file ids that runs which did not finish them may have left in bronze."""

    ingested: frozenset[tuple[str, str]]
    in_bronze: frozenset[str]


def _are_small(surveys: Sequence[Survey]) -> bool:
    is_open = all(s.form != "parquet" and not s.path.lower().endswith(".gz") for s in surveys)
    return is_open and len(surveys) <= SMALL_FILES and sum(s.bytes for s in surveys) <= SMALL_BYTES


def file_id(source: str, record_type: str, settings_hash: str, survey: Survey) -> str:
    """32 hex digits for a file as it is read: the same for the same content under the same name with the same settings."""
    known_by = [source, record_type, settings_hash, survey.shown, survey.sha256]
    return hashlib.sha256(json.dumps(known_by).encode()).hexdigest()[:32]


def settings_hash_of(source: str, conf: IngestConf) -> str:
    """The hash of the source and of the settings that determine what a record becomes."""
    parsing = conf.model_dump(mode="json", exclude=NOT_PARSING)
    return hashlib.sha256(json.dumps([source, parsing], sort_keys=True).encode()).hexdigest()


def find_candidates(
    lake: Lake, conf: IngestConf, source: str, record_types: Sequence[RecordType], given: str, unpacked: Sequence[str]
) -> Candidates:
    """The files at `given`, or in the folders that its archives were `unpacked` into, by record type.

    Files that match no record type are counted in the run's tags. Raises InputError where a file that the source requires is
    missing or has no content. Cost: a look at each file.
    """
    settings_hash = settings_hash_of(source, conf)
    surveys_by_type = _surveys(lake, conf, source, record_types, given, unpacked)
    filled: dict[str, list[Survey]] = {}
    for record_type in record_types:
        surveys = surveys_by_type[record_type.name]
        # A document without a byte is a broken one, not a table without rows.
        kept = [s for s in surveys if s.form in ("document", "picture") or (s.bytes and (s.form != "csv" or s.header))]
        if surveys and not kept:
            raise InputError(f"{surveys[0].path}: the file is empty; expected a header line and rows")
        if len(kept) < len(surveys):
            lake.run.note(empty_files=len(surveys) - len(kept))
        filled[record_type.name] = kept
    ids = {
        (record_type.name, survey.path): file_id(source, record_type.name, settings_hash, survey)
        for record_type in record_types
        for survey in filled[record_type.name]
    }
    return Candidates(given, source, record_types, filled, ids, settings_hash)


def new_files(candidates: Candidates, known: KnownFiles) -> FoundFiles:
    """Those of the files that are not `known` as ingested, by record type. Of files with the same content one is new: one that an
    earlier run began, else the first by path. Raises InputError where no file is of the source."""
    filled, ids = candidates.surveys, candidates.ids
    batches, before = [], 0
    for record_type in candidates.record_types:
        name, fresh = record_type.name, dict[str, Survey]()
        for survey in filled[name]:
            # A copy under another name is the same content; the one that an earlier run began keeps its rows.
            is_begun = ids[name, survey.path] in known.in_bronze
            if (name, survey.sha256) not in known.ingested and (survey.sha256 not in fresh or is_begun):
                fresh[survey.sha256] = survey
        before += len(filled[name]) - len(fresh)
        chosen = sorted(fresh.values(), key=lambda s: s.path)
        if chosen:
            named = {s.shown: ids[name, s.path] for s in chosen}
            batches.append(FileBatch(record_type, chosen, named, known.in_bronze & frozenset(named.values())))
    if not batches and not before:
        names = ", ".join(pattern for each in candidates.record_types for pattern in each.patterns)
        raise InputError(f"{candidates.given}: not a file of a {candidates.source} data set; expected {names}")
    return FoundFiles(batches, before, candidates.settings_hash)


def _surveys(
    lake: Lake, conf: IngestConf, source: str, record_types: Sequence[RecordType], given: str, unpacked: Sequence[str]
) -> dict[str, list[Survey]]:
    """The surveys of the files of each record type, by its name."""
    hide, is_one_file = pseudonymiser(lake.settings.privacy), is_file(given) and not unpacked
    files = list_files(given, conf.max_files, any(each.of_pictures for each in record_types), unpacked)
    claimed = {each.name: [path for path in files if each.claims(path)] for each in record_types}
    unmatched = len(files) - len({path for paths in claimed.values() for path in paths})
    if unmatched:
        lake.run.note(unmatched_files=unmatched)
    first = record_types[0]
    if not claimed[first.name] and not first.is_optional and not is_one_file:
        raise InputError(f"{given}: no {' or '.join(first.patterns)} in it; expected the folder of a {source} data set")
    surveyed: dict[tuple[bool, str], Survey] = {}
    for documents in (False, True):
        # All record types at once: a pass of Spark costs more than a look at some small files.
        paths = sorted({p for each in record_types if (each.records_of is not None) == documents for p in claimed[each.name]})
        pages = frozenset[str]().union(*(each.pages for each in record_types)) if documents else frozenset[str]()
        found = survey_files(lake.spark, paths, conf, documents, pages) if paths else []
        surveyed.update({(documents, survey.path): survey for survey in found})
    return {
        each.name: [survey_as(each, surveyed[each.records_of is not None, path], hide) for path in claimed[each.name]]
        for each in record_types
    }


def survey_as(record_type: RecordType, survey: Survey, hide: Hide | None) -> Survey:
    """The survey of a file of the record type, its hash distinguished by what its records depend on besides its bytes. With `hide`,
    which makes pseudonyms, a file that is named after people gets a name without them."""
    if record_type.hidden_path and hide:
        survey = replace(survey, hidden=record_type.hidden_path(survey.path, hide))
    if record_type.depends_on is None:
        return survey
    # A name hashed with a file that everybody has, as one without data, could be found out by trying.
    whose = hide(record_type.depends_on(survey.path)) if hide else record_type.depends_on(survey.path)
    return replace(survey, sha256=hashlib.sha256(f"{survey.sha256} {whose}".encode()).hexdigest())


def known_rows(lake: Lake, candidates: Candidates) -> DataFrame | None:
    """What tables have of the files: rows of (record_type, id), the content hash of a file that was ingested, and with record_type
    "" the id of a file in bronze; None where there is no table. At most a row a file and time that it was ingested.

    A local lake has noted which files runs have not finished; with a catalog bronze is asked, of which only the column _batch_id of
    data files whose range of ids holds one of ours is read.
    """
    frames: list[DataFrame] = []
    filled, ids = candidates.surveys, candidates.ids
    hashes = sorted({survey.sha256 for surveys in filled.values() for survey in surveys})
    if lake.exists("ops.ingest_files"):
        rows = lake.read_current("ops.ingest_files").where(F.col("settings_hash") == candidates.settings_hash)
        frames.append(with_values(rows, "sha256", hashes).select("record_type", F.col("sha256").alias("id")))
    of_bronze = [each for each in candidates.record_types if filled[each.name]] if unfinished_ids(lake) is None else []
    for table in sorted({each.bronze for each in of_bronze}):
        if lake.exists(table):
            wanted = sorted(ids[each.name, s.path] for each in of_bronze if each.bronze == table for s in filled[each.name])
            rows = with_values(lake.read_current(table), "_batch_id", wanted)
            frames.append(rows.select(F.lit("").alias("record_type"), F.col("_batch_id").alias("id")).distinct())
    return reduce(DataFrame.unionByName, frames) if frames else None


def known_files(lake: Lake, rows: Iterable[tuple[str, str]]) -> KnownFiles:
    """What the lake has of the files, by the collected `known_rows` and what a local lake has noted."""
    found, noted = set(rows), unfinished_ids(lake)
    in_bronze = noted if noted is not None else {each for name, each in found if not name}
    return KnownFiles(frozenset(row for row in found if row[0]), frozenset(in_bronze))


def find_files(lake: Lake, candidates: Candidates) -> FoundFiles:
    """The new ones of the files. Cost: one query of ops.ingest_files."""
    rows = known_rows(lake, candidates)
    with without_adaptive_execution(lake.spark):
        found = [(row["record_type"], row["id"]) for row in rows.collect()] if rows is not None else []
    return new_files(candidates, known_files(lake, found))


def with_values(rows: DataFrame, column: str, values: Sequence[str]) -> DataFrame:
    """The `rows` whose column has one of the values, as a condition up to FEW_VALUES, which can skip data files, else by a
    broadcast join."""
    if len(values) <= FEW_VALUES:
        return rows.where(f"`{column}` IN ({', '.join(map(literal, values))})" if values else "false")
    few = rows.sparkSession.createDataFrame([(value,) for value in values], f"`{column}` string")
    return rows.join(F.broadcast(few), column, "left_semi")
