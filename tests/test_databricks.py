"""databricks.yml against the code: every task's file, parameters, libraries and dependencies are what the jobs declare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from shoal.conf.loading import load
from shoal.runner.command import job_parser
from shoal.runner.job import Job, find_job
from shoal.spark.jars import COORDINATES

ROOT = Path(__file__).resolve().parents[1]
BUNDLE: dict[str, Any] = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))
JOB: dict[str, Any] = BUNDLE["resources"]["jobs"]["shoal"]
TASKS: dict[str, dict[str, Any]] = {task["task_key"]: task for task in JOB["tasks"]}
RETRAIN: dict[str, Any] = BUNDLE["resources"]["jobs"]["shoal_retrain"]
ORDER = ["ingest_files", *(name for names in load("databricks").pipeline.values() for name in names)]


def test_there_is_one_task_a_job_in_the_pipelines_order() -> None:
    assert list(TASKS) == ORDER


def test_there_are_two_targets_and_one_run_at_a_time() -> None:
    assert list(BUNDLE["targets"]) == ["dev", "prod"]
    assert BUNDLE["targets"]["dev"]["mode"] == "development"
    assert BUNDLE["targets"]["prod"]["mode"] == "production"
    assert JOB["max_concurrent_runs"] == 1


@pytest.mark.parametrize("name", ORDER)
def test_a_tasks_file_and_parameters_are_the_jobs(name: str) -> None:
    job, task = find_job(name), TASKS[name]["spark_python_task"]
    assert task["python_file"] == f"jobs/{job.stage}/{job.name}.py"
    assert (ROOT / task["python_file"]).is_file()
    declared = {p["name"] for p in JOB["parameters"]}
    values = {f"{{{{job.parameters.{p}}}}}": "2024-01-01" for p in declared}
    said = job_parser(job).parse_args([values.get(p, p) for p in task["parameters"]])  # exits where one is unknown
    assert said.env == "databricks"
    assert said.as_of == "2024-01-01"
    assert not any("{{" in p for p in task["parameters"] if p not in values), "a job parameter that is not declared"


def producers(job: Job) -> set[str]:
    """The tasks before this one that write what it reads, tables or a model."""
    return {name for name in ORDER[: ORDER.index(job.name)] if job.depends_on(find_job(name))}


@pytest.mark.parametrize("name", ORDER)
def test_a_task_waits_for_whatever_writes_what_it_reads(name: str) -> None:
    assert {d["task_key"] for d in TASKS[name].get("depends_on", [])} == producers(find_job(name))
    # A job reports a skipped or failed input itself; it must still run to do so.
    if "depends_on" in TASKS[name]:
        assert TASKS[name].get("run_if", "ALL_SUCCESS") == "ALL_SUCCESS"


@pytest.mark.parametrize("name", ORDER)
def test_a_task_brings_the_libraries_of_the_code(name: str) -> None:
    libraries = TASKS[name]["libraries"]
    assert {"whl": "dist/*.whl"} in libraries
    maven = {entry["maven"]["coordinates"] for entry in libraries if "maven" in entry}
    assert maven == {":".join(c) for c in COORDINATES if c[0] == "com.johnsnowlabs.nlp"}  # Delta is the runtime's own


def test_retraining_is_a_job_of_its_own() -> None:
    measure, retrain = RETRAIN["tasks"]
    like = TASKS["train_recommender"]
    for task, file in ((measure, "jobs/monitor/measure_losses.py"), (retrain, "jobs/train/retrain.py")):
        assert task["spark_python_task"]["python_file"] == file
        assert task["spark_python_task"]["parameters"] == like["spark_python_task"]["parameters"]
        assert task["libraries"] == like["libraries"]
    # What is due by age is trained again where the losses could not be measured, too.
    assert (retrain["depends_on"], retrain["run_if"]) == ([{"task_key": measure["task_key"]}], "ALL_DONE")
    assert {p["name"] for p in RETRAIN["parameters"]} == {"as_of"}
    clusters = [job["job_clusters"][0]["new_cluster"] for job in (JOB, RETRAIN)]
    assert clusters[0]["spark_conf"] == clusters[1]["spark_conf"]
    assert clusters[0]["spark_version"] == clusters[1]["spark_version"]
