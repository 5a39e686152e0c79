"""Publish the exports of a lake into a store: what changed is written beside the version that serves, then one switch.

A publisher that is killed leaves the old version serving; the next removes the remains. Two publishers in one lake are kept apart
by the job's lock. ops.publications has a row a version; where a killed publisher had switched and not recorded it, the next does.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.errors import SkippedError, UsageError
from shoal.lake.contract import contract
from shoal.lake.lake import PSEUDONYMISED_LAYERS, PSEUDONYMS_PROPERTY, Lake
from shoal.models.posts import ENGAGEMENT
from shoal.models.registry import champion, is_embedded
from shoal.models.text_classifiers import EMOTION, MODERATION, SENTIMENT, model_name
from shoal.publish.stores.derived import DERIVED
from shoal.publish.stores.exports import Export, exports
from shoal.publish.stores.frames import key_and_value
from shoal.publish.stores.manifest import Loaded, Manifest
from shoal.publish.stores.staging import stage, staged_pairs
from shoal.publish.stores.targets import Target

PUBLICATIONS = "ops.publications"
PUBLISHED, ROLLED_BACK = "published", "rolled_back"
# Models that a server scores without Spark.
MODELS = (SENTIMENT, EMOTION, MODERATION, ENGAGEMENT)


@dataclass(frozen=True)
class Outcome:
    """What a publisher did: the version that serves now, whether it is new, and what the store had to be cleaned of."""

    manifest: Manifest
    is_new: bool
    loaded: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def publish(lake: Lake, target: Target, folder: Path, keep: int, clock: Callable[[], datetime], force: bool = False) -> Outcome:
    """Publish every export whose table the lake has; the others are named as skipped.

    An export whose tables, day and definition are those of the version that serves is taken over from it; where all are, and the
    models too, nothing is written, unless `force`. After an erasure in the lake the versions before the new one are removed.
    `folder`: where staging and models lie; `keep`: versions that stay besides the new one. Raises SkippedError for a lake without
    any of the tables. Cost: one aggregate for the newest days, a shuffle an export by key; memory: see
    shoal.publish.stores.staging and the store.
    """
    removed = target.clean()
    staging = folder / ".staging"
    shutil.rmtree(staging, ignore_errors=True)
    previous = target.current()
    if previous is not None:
        _record_if_absent(lake, target, previous)
    wanted, skipped, days = _plan(lake, target.name)
    if not wanted:
        raise SkippedError("the lake has no table to publish; `shoal pipeline` makes them")
    models = publish_models(lake, folder)
    version = lake.run.run_id
    plan = Manifest(version, target.name, lake.run.started_at.isoformat(), wanted, skipped, models, _is_pseudonymised(lake),
                    previous.version if previous else None)  # fmt: skip
    erased = previous is not None and _has_erased_since(lake, datetime.fromisoformat(previous.started_at))
    if previous is not None and not force and not erased and plan.has_input_of(previous):
        return Outcome(previous, False, removed=tuple(removed))
    same = {} if previous is None or force else {n: previous.exports[n] for n, e in wanted.items() if _is_same(previous, n, e)}
    fresh = {name: planned for name, planned in wanted.items() if name not in same}
    try:
        if fresh:
            stage({name: key_and_value(_rows(lake, exports()[name], days), exports()[name]) for name in fresh}, staging)
        with target.building(version, previous) as building:
            for name, loaded in same.items():
                building.keep(name, loaded.since)
            written = {name: replace(each, rows=building.load(name, staged_pairs(staging, name))) for name, each in fresh.items()}
            manifest = replace(plan, exports=same | written)
            size = building.finish(manifest)
        target.switch(manifest)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    _record(lake, target, manifest, PUBLISHED, clock(), size)
    # After an erasure no earlier version may be returned to: people are in it who are to be nowhere.
    removed += target.retire(0 if erased else keep, manifest)
    if erased:
        removed += _remove_other_models(folder, set(models.values()))
    return Outcome(manifest, True, tuple(fresh), tuple(same), tuple(removed))


def _has_erased_since(lake: Lake, since: datetime) -> bool:
    """Whether people were erased from the lake since then. One small Spark job where the lake has had an erasure."""
    if not lake.exists("ops.erasures"):
        return False
    return bool(lake.read_current("ops.erasures").where(F.col("requested_at") >= F.lit(since)).limit(1).count())


def _remove_other_models(folder: Path, kept: set[str]) -> list[str]:
    """Remove the published models but those of the version that serves, and return their names."""
    others = [place for place in sorted((folder / "models").glob("*")) if place.name not in kept]
    for place in others:
        shutil.rmtree(place, ignore_errors=True)
    return [place.name for place in others]


def roll_back(lake: Lake, target: Target, clock: Callable[[], datetime]) -> Manifest:
    """Make the version before the one that serves the one that serves, and return it. Raises UsageError where there is none."""
    serving = target.current()
    if serving is None:
        raise UsageError(f"{target.place}: nothing was published there; `shoal publish` does")
    if serving.previous not in target.versions():
        gone = f"the version before {serving.version} is not there any more"
        raise UsageError(f"{target.place}: {gone}; publish.keep_versions keeps more")
    manifest = target.manifest(str(serving.previous))
    target.switch(manifest)
    _record(lake, target, replace(manifest, previous=serving.version), ROLLED_BACK, clock(), None)
    return manifest


def publish_models(lake: Lake, folder: Path) -> dict[str, str]:
    """Copy the champions of MODELS to <folder>/models/<name>-<version>, where they are not there yet; returns task to folder name.

    A remote model store that does not answer raises TransientError.
    """
    found = {}
    for task in MODELS:
        if not is_embedded(lake) and lake.folder is None:
            continue
        model = champion(lake, model_name(task))
        if model is None or not model.folder.is_dir():
            continue
        place = folder / "models" / model.label.replace("/", "-")
        if not place.is_dir():
            beside = place.with_name(f".{place.name}")
            shutil.rmtree(beside, ignore_errors=True)
            shutil.copytree(model.folder, beside)
            beside.rename(place)
        found[task] = place.name
    return found


def publications(lake: Lake, target: str) -> list[dict[str, Any]]:
    """The rows of ops.publications of a target, the newest first, at most 100."""
    if not lake.exists(PUBLICATIONS):
        return []
    rows = lake.read_current(PUBLICATIONS).where(F.col("target") == target).orderBy(F.desc("ended_at")).limit(100).collect()
    return [row.asDict() for row in rows]


def _plan(lake: Lake, target: str) -> tuple[dict[str, Loaded], dict[str, str], dict[str, date]]:
    """The target's exports that can be made, as they would be loaded, the reasons for the others, and each table's newest day."""
    there, skipped = {}, {}
    for name, export in exports().items():
        if target not in export.targets:
            continue
        if lake.exists(export.tables[0]):
            there[name] = export
        else:
            skipped[name] = f"{export.tables[0]} does not exist in this lake"
    tables = {table for export in there.values() for table in export.tables if lake.exists(table)}
    for table in sorted(tables):
        # The version that is read from here on.
        lake.read(table)
    days = _newest_days(lake, {table for table in tables if "as_of" in contract(table).columns})
    planned = {}
    for name, export in there.items():
        versions = {table: lake.run.input_versions[table] for table in export.tables if table in tables}
        day = days.get(export.table) if export.newest else None
        if export.newest and day is None:
            skipped[name] = f"{export.table} has no rows"
            continue
        planned[name] = Loaded(versions, 0, day.isoformat() if day else None, lake.run.run_id, export.version())
    return planned, skipped, days


def _newest_days(lake: Lake, tables: set[str]) -> dict[str, date]:
    """The newest as_of of each table that has one: one aggregate over all, of columns that are partitions."""
    known = [lake.read(name).select(F.lit(name).alias("name"), "as_of") for name in sorted(tables)]
    if not known:
        return {}
    rows = reduce(DataFrame.unionAll, known).groupBy("name").agg(F.max("as_of").alias("day")).limit(len(known)).collect()
    return {row["name"]: row["day"] for row in rows}


def _rows(lake: Lake, export: Export, days: Mapping[str, date]) -> DataFrame:
    """The rows of an export: the table's of its newest day, or what its function derives."""
    if export.derived is None:
        return lake.read(export.table, on=days[export.table] if export.newest else None)
    known = [name for name in export.tables if lake.exists(name)]
    return DERIVED[export.derived]({name: lake.read(name, on=days.get(name)) for name in known})


def _is_same(previous: Manifest, name: str, planned: Loaded) -> bool:
    """Whether the version that serves has this export from the same input."""
    had = previous.exports.get(name)
    return had is not None and (dict(had.tables), had.as_of, had.definition) == (
        dict(planned.tables), planned.as_of, planned.definition,
    )  # fmt: skip


def _is_pseudonymised(lake: Lake) -> bool:
    """Whether the ids of people are pseudonyms, by the mark of the first table of records."""
    for name in ("silver.interactions", "silver.items", "silver.users"):
        if contract(name).layer in PSEUDONYMISED_LAYERS and lake.exists(name):
            return lake.properties(name).get(PSEUDONYMS_PROPERTY, "none") != "none"
    return False


def _record_if_absent(lake: Lake, target: Target, manifest: Manifest) -> None:
    """Record the version that serves where a publisher was killed between the switch and its row."""
    known = {row["version"] for row in publications(lake, target.name)}
    if manifest.version not in known:
        _record(lake, target, manifest, PUBLISHED, datetime.fromisoformat(manifest.started_at), None)


def _record(lake: Lake, target: Target, manifest: Manifest, status: str, ended: datetime, size: int | None) -> None:
    """Append a row to ops.publications."""
    versions: Mapping[str, int] = {t: v for each in manifest.exports.values() for t, v in each.tables.items()}
    started = datetime.fromisoformat(manifest.started_at) if status == PUBLISHED else lake.run.started_at
    row = (
        f"{lake.run.run_id}-{manifest.version}", manifest.version, target.name, status, dict(versions),
        {name: each.rows for name, each in manifest.exports.items()}, dict(manifest.skipped), dict(manifest.models), size,
        manifest.previous, started, ended,
    )  # fmt: skip
    made = contract(PUBLICATIONS)
    kept = [field for field in made.struct() if field.name != "run_id"]
    lake.append(PUBLICATIONS, lake.spark.createDataFrame([row], type(made.struct())(kept)), unique=True)
