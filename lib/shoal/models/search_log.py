"""A search in MLflow, where a tracking server is named: a run, and in it one for each candidate."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

TRACKING_URI = "MLFLOW_TRACKING_URI"


def log_search(task: str, searched: Mapping[str, Any] | None, metrics: Mapping[str, Any]) -> None:
    """Log `searched` (search.json) and the champion's metrics on rows that no candidate saw, as a run of the experiment
    `shoal_<task>_search` with a nested run a candidate. Nothing without a search, or where the environment names no tracking
    server."""
    uri = os.environ.get(TRACKING_URI)
    if searched is None or not uri:
        return
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    name = f"shoal_{task}_search"
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known is not None else client.create_experiment(name)
    parent = client.create_run(experiment, run_name=name).info.run_id
    for key, value in {**searched["champion"], "candidates": searched["candidates"], "ended": searched["ended"]}.items():
        client.log_param(parent, key, value)
    for key, value in metrics.items():
        if isinstance(value, (int, float)):
            client.log_metric(parent, key, float(value))
    for number, trial in enumerate(searched["trials"]):
        tags = {"mlflow.parentRunId": parent}
        run = client.create_run(experiment, run_name=f"candidate_{number}", tags=tags).info.run_id
        for key, value in trial["candidate"].items():
            client.log_param(run, key, value)
        for key in (searched["metric"], "seconds"):
            if trial[key] is not None:
                client.log_metric(run, key, trial[key])
        client.set_terminated(run)
    client.set_terminated(parent)
