"""Experiments as they are written down: a YAML file, checked, to experiments and metrics."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shoal.errors import SkippedError, UsageError
from shoal.experiment.analysis import AnalysisSettings
from shoal.experiment.assignment import BUCKETS, Experiment, check_experiments

Event = Literal["view", "click", "like", "comment", "share", "save", "purchase", "rating"]


class MetricDefinition(BaseModel):
    """`mean`: events of the kind `event` a user, or the sum of their values (`of: value`); `proportion`: users with such an event;
    `ratio`: events of the kind `event` over events of the kind `per`."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["mean", "proportion", "ratio"]
    event: Event
    per: Event | None = None
    of: Literal["events", "value"] = "events"


class Definition(BaseModel):
    """One experiment of the file; see `Experiment`. `exposure_event`: the first event of this kind (any, without it) exposes a
    user; `segments`: columns of silver.users; `covariate_days`: how long before the start a metric is looked at to adjust by (0:
    not)."""

    model_config = ConfigDict(extra="forbid")
    start: date
    end: date
    arms: dict[str, float]
    layer: str = "default"
    first_bucket: int = 0
    buckets: int = BUCKETS
    ramp: dict[date, float] = Field(default_factory=dict)
    exposure_event: Event | None = None
    metrics: dict[str, MetricDefinition] = Field(min_length=1)
    segments: list[Literal["followers", "following", "source"]] = Field(default_factory=list)
    covariate_days: int = Field(default=28, ge=0, le=3650)
    expected_effect: float = Field(default=0.05, gt=0, le=10)

    def experiment(self, name: str) -> Experiment:
        """What decides who is in, and in which arm."""
        ramp = tuple(sorted(self.ramp.items()))
        arms = tuple(self.arms.items())
        return Experiment(name, arms, self.start, self.end, self.layer, self.first_bucket, self.buckets, ramp)

    def analysis(self, level: float, power: float) -> AnalysisSettings:
        """How its results are worked out."""
        return AnalysisSettings(self.arms, tuple(self.segments), level, power, self.expected_effect)


def read_definitions(path: str | Path) -> dict[str, Definition]:
    """The experiments of a file by their names. Raises UsageError, one line that names the file and the key, for a file that is not
    there or is no YAML, for an unknown key or a wrong value, and for what `check_experiments` refuses."""
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(document, dict):
        raise UsageError(f"{path}: expected experiments by their names, found a {type(document).__name__}")
    found = {}
    for name, given in document.items():
        try:
            found[str(name)] = Definition.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise UsageError(f"{path}: {name}.{key}: {first['msg']}; found {str(first.get('input'))[:60]}") from None
        for metric, each in found[str(name)].metrics.items():
            if (each.per is not None) != (each.kind == "ratio"):
                raise UsageError(f"{path}: {name}.metrics.{metric}.per: goes with kind ratio, which needs it")
    try:
        check_experiments([each.experiment(name) for name, each in found.items()])
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return found


def begun_experiments(file: str, as_of: date) -> dict[str, Definition]:
    """The experiments of a file that began by as_of. Raises SkippedError without a file or such an experiment, UsageError for a
    file with mistakes."""
    if not file:
        raise SkippedError("experiments.file names no file: no experiment is defined")
    found = {name: each for name, each in read_definitions(file).items() if each.start <= as_of}
    if not found:
        raise SkippedError(f"{file}: no experiment has begun by {as_of}")
    return found
