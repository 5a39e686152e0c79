"""Take people out of the lake: rows, words, files, models, and what the past of every table still holds of them.

Whom to erase stands in ops.erasure_requests until all is done, so that a run that was killed is taken up by the next. Each step
finds what is left to do from the lake itself and can be done twice.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf.addresses import is_uri
from shoal.errors import TransientError, UsageError
from shoal.ingest.formats.archives import label_of, landing, owner_in
from shoal.lake.contract import LAYERS, contract
from shoal.lake.lake import Lake
from shoal.lake.maintenance import purge_history
from shoal.models.registry import remote_store, retire
from shoal.privacy.mentions import Names, file_names, is_loud, rewriter
from shoal.privacy.people import REQUESTS, people_of, rows_of_people, tables_of_people
from shoal.spark.hadoop_files import names_in

# Folders of a lake that hold no file anybody put there: tables, models, locks, what streams remember.
KEPT = (*LAYERS, "mlruns", ".locks", ".checkpoints")
# Events that a server has taken and no job has read yet: JSON lines, of many people each.
WAITING = "inbox"
# Tables whose rows name an item of another user as their reason.
BECAUSE_TABLES = ("gold.recommendations", "gold.item_audiences")
# A report lies in a folder of its day.
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
# An archive is of the person whom one of these files names.
PROFILES = ("personal_information.json", "profile.json")


@dataclass(frozen=True)
class Request:
    """People to erase, as the lake knows them."""

    request_id: str
    receipt: str
    requested_at: datetime
    people: tuple[str, ...]

    def hash_of(self, person: str) -> str:
        """What ops.erasures calls the person."""
        return hmac.new(bytes.fromhex(self.receipt), person.encode(), hashlib.sha256).hexdigest()

    def stand_in(self, person: str) -> str:
        """What stands where the person's id was a label of something else."""
        return f"erased-{self.hash_of(person)[:12]}"


@dataclass(frozen=True)
class Outcome:
    """How far a request has come: `status` as in ops.erasures, files removed and model versions deleted, null where not known."""

    status: str
    files: int | None = None
    models: int | None = None


def open_request(lake: Lake) -> Request | None:
    """The request that is not finished, or None. Collects its people, at most privacy.max_people."""
    if not lake.exists(REQUESTS):
        return None
    rows = lake.read_current(REQUESTS).collect()
    if not rows:
        return None
    people = tuple(sorted(row["person_id"] for row in rows))
    return Request(rows[0]["request_id"], rows[0]["receipt"], min(row["requested_at"] for row in rows), people)


def ask_for(lake: Lake, people: Sequence[str]) -> Request:
    """Write down whom to erase; people of a request that is not finished stay in it and are erased with these. Raises UsageError
    where they are more than privacy.max_people together."""
    known, limit = open_request(lake), lake.settings.privacy.max_people
    everybody = {*people, *(known.people if known else ())}
    if len(everybody) > limit:
        pending = f"{len(known.people):,} of them of a request that is not finished: erase without an --user first" if known else ""
        found = f"{len(everybody):,} ids{pending and ', '}{pending}"
        raise UsageError(f"{found}; expected at most {limit:,} at once (privacy.max_people)")
    request_id = known.request_id if known else f"erase-{lake.run.run_id}"
    receipt = known.receipt if known else secrets.token_hex(32)
    fields = "person_id string, request_id string, receipt string, requested_at timestamp"
    rows = [(person, request_id, receipt, lake.run.started_at) for person in sorted(set(people))]
    lake.insert_if_absent(REQUESTS, lake.spark.createDataFrame(rows, fields))
    request = open_request(lake)
    assert request is not None  # noqa: S101 - just written
    return request


def erase(lake: Lake, request: Request, models_cleared: bool = False) -> None:
    """Do all of it, in an order that a killed run can take up again, and write ops.erasures. No other job may use the lake.

    Models in a store outside the lake are not searched. Unless `models_cleared` states that they were deleted there, the request
    stays open with status `models_left`, and TransientError names the store and what to do. Collects a count a person and table,
    of at most privacy.max_people. The files of the lake that are no tables are read one after the other, as are all models:
    gigabytes take minutes.
    """
    people = people_of(lake, request.people).persist(StorageLevel.MEMORY_AND_DISK)
    held, found = [people], dict[str, DataFrame]()
    try:
        names = names_of(lake, request, people)
        removed: dict[str, dict[str, int]] = {person: {} for person in request.people}
        for name in tables_of_people():
            rows = rows_of_people(lake, name, people)
            if rows is None:
                continue
            # Kept: when the rows they go with are gone, they could not be found again.
            found[name] = rows.persist(StorageLevel.MEMORY_AND_DISK)
            held.append(found[name])
            # One row a person.
            for row in found[name].groupBy("person").count().collect():
                removed[row["person"]][name] = row["count"]
        write_down(lake, request, removed, {}, Outcome("running"))
        changed: dict[str, int] = {}
        for name in tables_of_people():
            if any(name in counts for counts in removed.values()):
                lake.delete(name, found[name])
            if name in BECAUSE_TABLES and "silver.items" in found:
                clear_because_items(lake, name, found["silver.items"])
            count = take_out_names(lake, name, names)
            if count:
                changed[name] = count
        terms = names.in_terms()
        files, models = remove_files(lake, names), retire(lake, lambda file: file_names(file, terms))
        for name in tables_of_people():
            if lake.exists(name):
                purge_history(lake, name)
        store = remote_store(lake)
        if store is None:
            outcome = Outcome("finished", files, len(models))
        else:
            outcome = Outcome("finished" if models_cleared else "models_left", files)
        write_down(lake, request, removed, changed, outcome)
        lake.run.note(request=request.request_id, people=len(request.people), files_removed=files, status=outcome.status)
        lake.run.note(models_retired=len(models) if store is None else "not searched: the store lies outside the lake")
    finally:
        for frame in held:
            frame.unpersist()
    if outcome.status == "models_left":
        raise TransientError(
            f"erasure {request.request_id} is not finished: nothing is left in the lake, but the models in {store} were not "
            "searched; delete the versions and runs there that were trained before this erasure, train again, then run "
            "`shoal erase --models-cleared`"
        )
    lake.drop(REQUESTS)


def names_of(lake: Lake, request: Request, people: DataFrame) -> Names:
    """Ids and names to look for in words. Collects them: at most privacy.max_people ids, each with one name."""
    pairs = {row["value"]: row["person"] for row in people.collect()}
    shortest = lake.settings.privacy.min_mention_length
    stand_ins = {value: request.stand_in(person) for value, person in pairs.items()}
    return Names(stand_ins, frozenset(v for v in pairs if is_loud(v, shortest)))


def take_out_names(lake: Lake, name: str, names: Names) -> int:
    """Take the names out of a table's words and labels, and return how many rows changed; a row whose words are to go with a
    name in them (`erase_when`) goes. One pass over key and words, in Python."""
    made = contract(name)
    texts, labels = made.personal("text"), made.personal("mention")
    if not lake.exists(name) or not texts + labels:
        return 0
    # Paths and messages of our own making: names stand in them without blanks.
    paths = [n for n in texts if n.startswith("_") or (made.layer == "ops" and not made.columns[n].erase_when)]
    words = [n for n in texts if n not in paths]
    flags = [F.expr(made.columns[n].erase_when or "false") for n in words]
    rows = lake.read_current(name)
    columns = [*dict.fromkeys([*made.key, *words, *paths, *labels])]
    types = {n: made.columns[n].type for n in columns}
    given = rows.select(*columns, F.array(*flags).cast("array<boolean>").alias("_erase_when"))
    schema = ", ".join(
        [*[f"`_old_{k}` {types[k]}" for k in made.key], *[f"`{n}` {types[n]}" for n in [*words, *paths, *labels]], "_erase boolean"]
    )
    found = given.mapInArrow(rewriter(names, made.key, words, paths, labels), schema).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        counts = {row["_erase"]: row["count"] for row in found.groupBy("_erase").count().collect()}
        changed = 0
        if counts.get(False):
            changed += lake.update(name, found.where("not _erase"), [*words, *paths, *labels])
        if counts.get(True):
            gone = found.where("_erase").select(*[F.col(f"_old_{k}").alias(k) for k in made.key])
            changed += lake.delete(name, gone)
        return changed
    finally:
        found.unpersist()


def clear_because_items(lake: Lake, name: str, items: DataFrame) -> int:
    """Set because_item_id to null where it is one of the people's `items` (item_id), and return how many rows changed. The
    reason_code stays. Cost: a join by item."""
    if not lake.exists(name):
        return 0
    theirs = items.select(F.col("item_id").alias("because_item_id")).distinct()
    rows = lake.read_current(name).join(theirs, "because_item_id", "left_semi")
    null = F.lit(None).cast("string").alias("because_item_id")
    cleared = rows.select(*[F.col(k).alias(f"_old_{k}") for k in contract(name).key], null)
    return lake.update(name, cleared, ["because_item_id"])


def other_files(lake: Lake) -> list[Path]:
    """The files of the lake that are no tables and no models: reports, raw and landed copies; of a lake at a URI
    only those in report.folder, where that is local."""
    folders = [lake.folder] if lake.folder and lake.folder.is_dir() else []
    if lake.settings.report.folder and not is_uri(lake.settings.report.folder):
        folders.append(Path(lake.settings.report.folder))
    found = []
    for folder in folders:
        for file in folder.rglob("*"):
            first = file.relative_to(folder).parts[0]
            is_kept = folder == lake.folder and (first in KEPT or first.startswith("mlflow.db"))
            if not is_kept and file.is_file():
                found.append(file)
    return sorted(found)


def remove_files(lake: Lake, names: Names) -> int:
    """Delete the lake's other files in which a name stands, and a whole archive that is one of the people's; return how many.
    Bronze has every record of a raw copy, and a report is made again by its job. Of a lake at a URI all reports go, and what killed
    jobs have left of their checkpoints. Files that wait to be ingested (WAITING) lose the people's lines and keep those of others.
    Raises TransientError where a server writes one."""
    count = 0
    if lake.folder is None:
        for inside in ("reports", ".spark-checkpoints"):
            lake.store.remove_folder(f"{lake.address}/{inside}")
    remove_remote_reports(lake)
    for folder in sorted(landing(lake.folder).glob("*")) if lake.folder else ():
        # A part of a split archive may lack the profile.
        is_theirs = owner_in(label_of(folder)) in names.stand_ins
        if is_theirs or any(file.name in PROFILES and file_names(file, names) for file in folder.rglob("*.json")):
            # All of it is theirs: their pictures do not name them.
            count += sum(file.is_file() for file in folder.rglob("*"))
            shutil.rmtree(folder)
    for file in other_files(lake):
        if file.suffix == ".crc":
            continue
        if lake.folder and file.is_relative_to(Path(lake.folder) / WAITING) and file.suffix == ".jsonl":
            count += drop_lines(file, names) > 0
        elif file_names(file, names):
            file.unlink()
            (file.parent / f".{file.name}.crc").unlink(missing_ok=True)
            count += 1
    return count


def remove_remote_reports(lake: Lake) -> None:
    """Delete the reports of all days in report.folder where that is a URI, and nothing else there. Raises InputError, one line,
    where its store does not answer."""
    folder = lake.settings.report.folder or ""
    if is_uri(folder):
        for name in names_in(lake.spark, folder):
            if _DAY.fullmatch(name):
                lake.store.remove_folder(f"{folder.rstrip('/')}/{name}/report.html")


def drop_lines(file: Path, names: Names) -> int:
    """Take the lines in which a value is one of the names, or has a loud one in it, out of a file of JSON lines, and return how
    many they were; the file is replaced whole. A line that is no JSON goes where a loud name stands in it. Raises TransientError
    where another process has the file open for writing."""
    with file.open("rb+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TransientError(f"{file}: a server writes to it; stop it, or run `shoal erase` again in a minute") from None
        words, rest, gone = names.in_paths(), file.with_name(f".{file.name}.rest"), 0
        with rest.open("wb") as kept:
            for line in held:
                if _is_theirs(line, names, words):
                    gone += 1
                else:
                    kept.write(line)
        if gone:
            rest.replace(file)
        else:
            rest.unlink()
    return gone


def _is_theirs(line: bytes, names: Names, words: re.Pattern[str]) -> bool:
    text = line.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except ValueError:
        return words.search(text) is not None
    values = [found]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            values += [*value, *value.values()]
        elif isinstance(value, list):
            values += value
        elif str(value) in names.stand_ins or (isinstance(value, str) and words.search(value)):
            return True
    return False


def write_down(lake: Lake, request: Request, removed: dict[str, dict[str, int]], changed: dict[str, int], outcome: Outcome) -> None:
    """Write a row of ops.erasures for each person. Counts that an earlier run of the request wrote stay where they are larger."""
    known: dict[str, dict[str, int]] = {}
    if lake.exists("ops.erasures"):
        mine = lake.read_current("ops.erasures").where(F.col("request_id") == request.request_id)
        known = {row["person_hash"]: row["rows_removed"] for row in mine.collect()}
    rows = []
    for person in request.people:
        before, now = known.get(request.hash_of(person), {}), removed[person]
        counts = {t: max(before.get(t, 0), now.get(t, 0)) for t in sorted({*before, *now})}
        rows.append((
            request.request_id, request.hash_of(person), outcome.status, counts, changed, outcome.files, outcome.models,
            request.requested_at, lake.run.started_at if outcome.status == "finished" else None,
        ))  # fmt: skip
    columns = [(n, c.type) for n, c in contract("ops.erasures").columns.items() if n != "run_id"]
    lake.upsert("ops.erasures", lake.spark.createDataFrame(rows, ", ".join(f"{n} {t}" for n, t in columns)))
