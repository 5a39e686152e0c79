"""Models in MLflow: each training a run, each model a version in the registry, the one that serves its `champion`; each model of
an evaluation a run.

A model is a folder of files: a saved Spark pipeline, Parquet factors, whatever its own module can read back. The store is
the one of MLFLOW_TRACKING_URI; else Databricks' own with a catalog lake (models are then `catalog.gold.NAME`); else inside the
lake: <lake>/mlflow.db and <lake>/mlruns. MLflow records absolute addresses of files; in a lake that was copied or moved they are
corrected at the first use (`_relocate`), so that a copy never reads or writes the files of the original.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import math
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import __version__
from shoal.errors import ShoalError, TransientError, UsageError, one_line
from shoal.lake.lake import Lake
from shoal.lake.locks import FOREVER, file_lock, lock_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

LOG = logging.getLogger(__name__)
ALIAS = "champion"
# A version's tag: the version that was champion before it became that. `roll_back` goes by it.
REPLACED = "shoal.replaced"
EXPERIMENT = "shoal"
ARTIFACT = "model"
# MLflow reports a missing version in three ways, by store.
NOT_THERE = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}


@dataclass(frozen=True)
class Model:
    """A version in the registry: its files on this machine's disk, and what its run recorded."""

    name: str
    version: str
    folder: Path
    metrics: dict[str, float]
    params: dict[str, str]
    is_champion: bool

    @property
    def label(self) -> str:
        """Name and version as rows carry them in `model_version`: `shoal_sentiment/3`."""
        return f"{self.name}/{self.version}"


@dataclass(frozen=True)
class Version:
    """A version in the registry without its files: its number, the number of the version that it replaced as champion (None where
    it never did), and its run's params."""

    number: str
    replaced: str | None
    is_champion: bool
    params: dict[str, str]


def champion(lake: Lake, name: str) -> Model | None:
    """The model that serves, or None where none was registered. From a remote store its files are fetched to a temporary
    folder.

    Raises TransientError where the store does not answer.
    """
    if is_embedded(lake) and not _database(lake).is_file():
        return None
    with _store(lake) as client:
        found = _champion_version(client, _registered_name(lake, name))
        return None if found is None else _model(lake, client, name, found, is_champion=True)


def register(
    lake: Lake,
    name: str,
    folder: str | Path,
    *,
    metric: str,
    metrics: Mapping[str, float],
    params: Mapping[str, object],
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    judge: Callable[[Model], float | None] | None = None,
    beats: Callable[[Model], bool] | None = None,
    higher_is_better: bool = True,
    tags: Mapping[str, str] | None = None,
    promotes: bool = True,
) -> Model:
    """Keep the files of `folder` as a new version of the model `name`, and make it the champion where it is better; never without
    `promotes`: somebody else compares the two then (shoal.models.retraining).

    `beats` decides against the present champion; it is not called without one. Without it `metric`, an entry of `metrics`,
    decides: `judge` gives the same metric of the present champion on the new model's own test data; without it, or where it gives
    None, the champion's recorded metric counts. Equal models are no promotion. The first model becomes champion; so does one whose
    predecessor's files are gone; one with a metric that is no number never beats another.

    The run records params, metrics, the signature (`inputs`, `outputs`: column to MLflow type: string, double, long, ...),
    the tables the lake's run has read with their versions, and its run_id. The same params, metrics (to 6 digits), tags and
    input versions again give back the version they made before, so a rerun names the same model.

    Raises TransientError where the store does not answer. Cost: one copy of the files.
    """
    files, recorded = Path(folder), {key: float(value) for key, value in metrics.items() if value is not None}
    seen = {key: str(value) for key, value in params.items()}
    mark = _fingerprint(lake, name, seen, recorded, tags or {})
    registered_name = _registered_name(lake, name)
    with _store(lake) as client:
        experiment = _experiment(lake, client)
        version = _version_of(client, experiment, mark, registered_name)
        if version is None:
            about = {"shoal.run_id": lake.run.run_id, "shoal.job": lake.run.job, "shoal.fingerprint": mark, **(tags or {})}
            about |= {f"input.{table}": str(number) for table, number in lake.run.input_versions.items()}
            run = client.create_run(experiment, run_name=f"{name} {lake.run.run_id}", tags=about)
            _log(client, run, recorded, seen)
            _log_files(lake, client, run, files, _signature(inputs, outputs))
            source = f"{run.info.artifact_uri}/{ARTIFACT}"
            _ensure_registered(client, registered_name)
            version = client.create_model_version(registered_name, source, run_id=run.info.run_id)
            client.set_tag(run.info.run_id, "shoal.model_version", version.version)
            client.set_terminated(run.info.run_id)
        present = _champion_version(client, registered_name)
        if present is not None and str(present.version) == str(version.version):
            return _model(lake, client, name, version, is_champion=True)
        if not promotes:
            return _model(lake, client, name, version, is_champion=False)
        rival = None if present is None else _model(lake, client, name, present, is_champion=True)
    # Judging runs Spark jobs: the store's lock is not held meanwhile.
    if rival is not None and not rival.folder.is_dir():
        LOG.warning("%s: its files are gone; the new model serves", rival.label)
        rival = None
    if rival is None:
        wins = True
    elif beats is not None:
        wins = beats(rival)
    else:
        wins = _is_better(recorded.get(metric), rival, metric, judge, higher_is_better)
    with _store(lake) as client:
        if wins:
            _promote(client, registered_name, str(version.version))
        return _model(lake, client, name, version, is_champion=wins)


def set_champion(lake: Lake, name: str, version: str) -> Model:
    """Make a version that is registered the champion, whatever its metrics.

    Raises UsageError where the model has no such version, TransientError where the store does not answer.
    """
    registered_name = _registered_name(lake, name)
    with _store(lake) as client:
        found = _registered_version(client, registered_name, name, version)
        _promote(client, registered_name, version)
        return _model(lake, client, name, found, is_champion=True)


def roll_back(lake: Lake, name: str) -> Model:
    """Make the version that was champion before the present one the champion again, and return it. Once more goes one further back.

    Raises UsageError where no model is champion, where it replaced none, and where that version or its files are gone;
    TransientError where the store does not answer. Trains and copies nothing: the files are those that served before.
    """
    if is_embedded(lake) and not _database(lake).is_file():
        raise UsageError(f"{name}: no model was registered in this lake")
    registered_name = _registered_name(lake, name)
    with _store(lake) as client:
        present = _champion_version(client, registered_name)
        if present is None:
            raise UsageError(f"{name}: no version is champion; there is nothing to return from")
        before = dict(present.tags or {}).get(REPLACED)
        if before is None:
            raise UsageError(f"{name}/{present.version} replaced no version that the registry knows of; name one: --to VERSION")
        found = _model(lake, client, name, _registered_version(client, registered_name, name, before), is_champion=True)
        if not found.folder.is_dir():
            raise UsageError(f"{found.label}: its files are gone; name another version: --to VERSION")
        client.set_registered_model_alias(registered_name, ALIAS, before)
        return found


def versions(lake: Lake, name: str) -> list[Version]:
    """Every version of a model, the newest first. Empty where none was registered. Raises TransientError where the store does not
    answer. Fetches no files."""
    if is_embedded(lake) and not _database(lake).is_file():
        return []
    registered_name = _registered_name(lake, name)
    with _store(lake) as client:
        present = getattr(_champion_version(client, registered_name), "version", None)
        found = sorted(client.search_model_versions(f"name='{registered_name}'"), key=lambda each: -int(each.version))
        return [
            Version(str(each.version), dict(each.tags or {}).get(REPLACED), str(each.version) == str(present),
                    dict(client.get_run(str(each.run_id)).data.params))
            for each in found
        ]  # fmt: skip


def record_run(
    lake: Lake, name: str, metrics: Mapping[str, float | None], params: Mapping[str, object], tags: Mapping[str, str] | None = None
) -> str:
    """Record a run without a model, as of an evaluation, and return its id. A value that is None or no number is not recorded.

    As with `register`, the same again is the run it was before. Raises TransientError where the store does not answer.
    """
    recorded = {key: float(value) for key, value in metrics.items() if value is not None and math.isfinite(value)}
    seen = {key: str(value) for key, value in params.items()}
    mark = _fingerprint(lake, name, seen, recorded, tags or {})
    with _store(lake) as client:
        experiment = _experiment(lake, client)
        known = client.search_runs([experiment], f"tags.`shoal.fingerprint` = '{mark}' and status = 'FINISHED'", max_results=1)
        if known:
            return str(known[0].info.run_id)
        about = {"shoal.run_id": lake.run.run_id, "shoal.job": lake.run.job, "shoal.fingerprint": mark, **(tags or {})}
        run = client.create_run(experiment, run_name=name, tags=about)
        _log(client, run, recorded, seen)
        client.set_terminated(run.info.run_id)
        return str(run.info.run_id)


def remote_store(lake: Lake) -> str | None:
    """The address of the model store where it lies outside the lake; None for the lake's own."""
    if is_embedded(lake):
        return None
    return os.environ.get("MLFLOW_TRACKING_URI") or lake.settings.lake.catalog or lake.address


def is_embedded(lake: Lake) -> bool:
    """Whether the model store is the lake's own: a database and files in its folder."""
    return not os.environ.get("MLFLOW_TRACKING_URI") and lake.is_local


def _remote_artifacts(lake: Lake) -> str | None:
    """Where the files of models lie beside the tables of a lake at a URI; None where MLflow itself decides, or in a local lake."""
    return None if lake.is_local or lake.settings.lake.catalog else f"{lake.address}/mlruns"


def retire(lake: Lake, holds: Callable[[Path], bool]) -> list[str]:
    """Delete every training whose files `holds` says of, its versions and its run; return the versions' names and numbers. Where
    the champion goes, nothing serves until the next training.

    In the lake's own store only: of a `remote_store` nothing is deleted.
    """
    if remote_store(lake) is not None:
        return []
    if not _database(lake).is_file():
        return []
    retired: list[str] = []
    for folder in sorted((lake.root / "mlruns").glob("*")):
        if not any(holds(file) for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix != ".crc"):
            continue
        with _store(lake) as client:
            for version in client.search_model_versions(f"run_id = '{folder.name}'"):
                if str(version.version) == str(getattr(_champion_version(client, version.name), "version", None)):
                    client.delete_registered_model_alias(version.name, ALIAS)
                client.delete_model_version(version.name, version.version)
                retired.append(f"{version.name}/{version.version}")
            if client.get_run(folder.name).info.lifecycle_stage == "active":
                client.delete_run(folder.name)
        # Last: what is cut off before this is found again by its files.
        shutil.rmtree(folder)
    return retired


def _is_better(
    value: float | None, rival: Model, metric: str, judge: Callable[[Model], float | None] | None, higher_is_better: bool
) -> bool:
    """Whether the new value is better than the champion's on the same evaluation."""
    judged = judge(rival) if judge is not None else None
    held = rival.metrics.get(metric) if judged is None else judged
    if value is None or math.isnan(value):
        return False
    if held is None or math.isnan(held):
        return True
    return value > held if higher_is_better else value < held


def _database(lake: Lake) -> Path:
    return lake.root / "mlflow.db"


def _registered_name(lake: Lake, name: str) -> str:
    """Unity Catalog's models have three-part names; they lie beside the tables they make."""
    return f"{lake.settings.lake.catalog}.gold.{name}" if lake.settings.lake.catalog else name


@contextmanager
def _store(lake: Lake) -> Iterator[MlflowClient]:
    """A client of the lake's store; the embedded one is used by one process at a time, because its first use makes it."""
    # Before the import: MLflow reads some of these once. No telemetry, and git is asked for nothing.
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    for talker in ("mlflow", "alembic"):
        logging.getLogger(talker).setLevel(logging.WARNING)
    asked = os.environ.get("MLFLOW_TRACKING_URI")
    catalog = lake.settings.lake.catalog
    if not asked and not catalog and not lake.is_local:
        raise UsageError(
            f"the model store of {lake.address}: set MLFLOW_TRACKING_URI to an MLflow server or a database; files of models go to "
            f"{_remote_artifacts(lake)}"
        )
    try:
        if asked or catalog:
            registry = os.environ.get("MLFLOW_REGISTRY_URI") or ("databricks-uc" if catalog else None)
            yield MlflowClient(tracking_uri=asked or "databricks", registry_uri=registry)
            return
        with file_lock(lock_path(lake.root, "mlflow"), FOREVER, "the model store is in use"):
            _relocate(lake)
            yield MlflowClient(tracking_uri=f"sqlite:///{_database(lake)}")
    except (MlflowException, SQLAlchemyError, sqlite3.Error) as error:
        raise TransientError(f"the model store {asked or catalog or _database(lake)}: {one_line(error)}") from error


def _relocate(lake: Lake) -> None:
    """Correct the addresses that MLflow has recorded where they are not those of this lake's own folder: of the experiment, of each
    run's files and of each version's. A run's files are always in mlruns/<run>/artifacts of the lake. The caller holds the store's
    lock. Cost: a look at one row; where the lake has moved, three updates in one transaction.
    """
    if not _database(lake).is_file():
        return
    place = (lake.root / "mlruns").absolute().as_uri()
    with closing(sqlite3.connect(_database(lake))) as store:
        has_tables = store.execute("select 1 from sqlite_master where type = 'table' and name = 'model_versions'").fetchone()
        found = (
            has_tables
            and store.execute("select experiment_id, artifact_location from experiments where name = ?", (EXPERIMENT,)).fetchone()
        )
        if not found or found[1] == place:
            return
        number = found[0]
        own = "run_id in (select run_uuid from runs where experiment_id = ?)"
        with store:
            store.execute("update experiments set artifact_location = ? where experiment_id = ?", (place, number))
            store.execute(
                "update runs set artifact_uri = ? || '/' || run_uuid || '/artifacts' where experiment_id = ?", (place, number)
            )
            for column in ("source", "storage_location"):
                store.execute(
                    f"update model_versions set {column} = ? || '/' || run_id || '/artifacts/{ARTIFACT}' "
                    f"where {column} is not null and {own}",
                    (place, number),
                )
    LOG.info("the model store of %s was moved from %s: its addresses are corrected", lake.root, found[1])


def _experiment(lake: Lake, client: MlflowClient) -> str:
    """The id of the experiment that holds Shoal's runs; made where it is not there."""
    name = f"/Shared/{EXPERIMENT}" if lake.settings.lake.catalog else EXPERIMENT
    if _remote_artifacts(lake):
        # One server may serve several lakes, each with its files beside its tables.
        name = f"{EXPERIMENT} {lake.address}"
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    own = (lake.root / "mlruns").absolute().as_uri() if is_embedded(lake) else _remote_artifacts(lake)
    return str(client.create_experiment(name, own))


def _fingerprint(lake: Lake, name: str, params: Mapping[str, str], metrics: Mapping[str, float], tags: Mapping[str, str]) -> str:
    """What makes two trainings the same. Sums of doubles depend on the order of partitions, hence the six digits."""
    rounded = {key: f"{value:.6g}" for key, value in metrics.items()}
    facts = [name, dict(params), rounded, dict(tags), lake.run.input_versions]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _version_of(client: MlflowClient, experiment: str, mark: str, name: str) -> Any | None:
    """The version that an equal training made before, or None; a run that was killed before registering made none."""
    runs = client.search_runs([experiment], f"tags.`shoal.fingerprint` = '{mark}'", max_results=10)
    numbers = [run.data.tags["shoal.model_version"] for run in runs if "shoal.model_version" in run.data.tags]
    return client.get_model_version(name, numbers[0]) if numbers else None


def _champion_version(client: MlflowClient, name: str) -> Any | None:
    """The registry's entry under the alias, or None."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, ALIAS)
    except MlflowException as error:
        if error.error_code in NOT_THERE:
            return None
        raise


def _registered_version(client: MlflowClient, registered_name: str, name: str, version: str) -> Any:
    """The registry's entry of a version. Raises UsageError where there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(registered_name, version)
    except MlflowException as error:
        if error.error_code in NOT_THERE:
            raise UsageError(f"{name}: there is no version {version}") from None
        raise


def _promote(client: MlflowClient, registered_name: str, version: str) -> None:
    """The version is champion afterwards, and knows which one it replaced. The tag first: a champion without it has no way back."""
    present = _champion_version(client, registered_name)
    if present is not None and str(present.version) != version:
        client.set_model_version_tag(registered_name, version, REPLACED, str(present.version))
    client.set_registered_model_alias(registered_name, ALIAS, version)


def _ensure_registered(client: MlflowClient, name: str) -> None:
    """The registry knows the name afterwards."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code not in NOT_THERE:
            raise
        client.create_registered_model(name)


def _log(client: MlflowClient, run: Any, metrics: Mapping[str, float], params: Mapping[str, str]) -> None:
    """Metrics and parameters in one transaction. MLflow's names allow no `@`: `ndcg@10` is recorded as `ndcg_at_10`."""
    from mlflow.entities import Metric, Param

    rows = [Metric(_metric_key(key), value, run.info.start_time, 0) for key, value in metrics.items()]
    client.log_batch(run.info.run_id, rows, [Param(key, value[:6000]) for key, value in params.items()])


def _metric_key(name: str) -> str:
    return name.replace("@", "_at_")


def _signature(inputs: Mapping[str, str], outputs: Mapping[str, str]) -> ModelSignature:
    """MLflow's description of the columns that go in and come out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    before, after = (Schema([ColSpec(kind, name) for name, kind in side.items()]) for side in (inputs, outputs))
    return ModelSignature(before, after)


def _log_files(lake: Lake, client: MlflowClient, run: Any, files: Path, signature: ModelSignature) -> None:
    """Copy the files into the run, beside the MLmodel file that every MLflow model has; of a lake at a URI by its own file system,
    which MLflow may have no client for."""
    from mlflow.models import Model as Description

    description = Description(artifact_path=ARTIFACT, run_id=run.info.run_id, signature=signature)
    description.add_flavor("shoal", shoal_version=__version__, data="files")
    with tempfile.TemporaryDirectory() as folder:
        description.save(str(Path(folder) / "MLmodel"))
        if _remote_artifacts(lake):
            place = f"{run.info.artifact_uri}/{ARTIFACT}"
            lake.store.copy_in(Path(folder) / "MLmodel", f"{place}/MLmodel")
            lake.store.copy_in(files, f"{place}/files")
            return
        client.log_artifacts(run.info.run_id, folder, ARTIFACT)
    client.log_artifacts(run.info.run_id, str(files), f"{ARTIFACT}/files")


def _model(lake: Lake, client: MlflowClient, name: str, version: Any, is_champion: bool) -> Model:
    """The version with its run's tags and the path of its files."""
    run = client.get_run(version.run_id)
    metrics = {key.replace("_at_", "@"): value for key, value in run.data.metrics.items()}
    folder = _files_of(lake, client, version)
    return Model(name, str(version.version), folder, metrics, dict(run.data.params), is_champion)


def _files_of(lake: Lake, client: MlflowClient, version: Any) -> Path:
    """Where the version's files lie on this machine."""
    if is_embedded(lake):
        # By its place and not by the address recorded: a lake may have been moved.
        return lake.root / "mlruns" / str(version.run_id) / "artifacts" / ARTIFACT / "files"
    target = tempfile.mkdtemp(prefix="shoal-model-")
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    remote = _remote_artifacts(lake)
    if remote:
        lake.store.copy_out(f"{remote}/{version.run_id}/artifacts/{ARTIFACT}/files", Path(target) / "files")
        return Path(target) / "files"
    try:
        return Path(client.download_artifacts(version.run_id, f"{ARTIFACT}/files", target))
    except OSError as error:
        raise ShoalError(f"the files of {version.name} version {version.version}: {one_line(error)}") from error
