"""`shoal experiment assign|analyse|power`: plain files in and out; no lake."""

from __future__ import annotations

import json
import math
import sys
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.cli.options import AsOfOption, EnvOption, SetOption, with_file_settings
from shoal.conf.loading import load
from shoal.errors import InputError, UsageError
from shoal.experiment.analysis import AnalysisSettings, Metric, analyse
from shoal.experiment.assignment import with_arm
from shoal.experiment.definitions import read_definitions
from shoal.experiment.effects import users_needed
from shoal.ingest.formats.files import check_output, quoted, read_rows, refuse_faults, write_rows
from shoal.ingest.sources.number_files import read_numbers
from shoal.runner.command import parse_as_of
from shoal.spark.session import spark_session

experiment_app = typer.Typer(help="Assign users to experiments and compare what became of the arms.", rich_markup_mode=None)


@experiment_app.command()
def assign(
    experiments: Annotated[Path, typer.Option(help="YAML file of experiments (docs/experiments.md).", metavar="FILE")],
    users: Annotated[Path, typer.Option(help="One row a user, with a column user_id.", metavar="FILE")],
    output: Annotated[str, typer.Option(help="user_id, experiment, arm: .csv, .tsv, .jsonl or .parquet.", metavar="FILE")],
    as_of: AsOfOption = None,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Write which of the users are in which experiment on a day, and in which arm; the same at every call.

    Example: shoal experiment assign --experiments experiments.yaml --users users.csv --output arms.csv --as-of 2024-01-10
    """
    check_output(output)
    definitions, day = read_definitions(experiments), parse_as_of(as_of)
    if not definitions:
        raise UsageError(f"{experiments}: no experiment in it")
    settings = load(env, with_file_settings(sets))
    spark = spark_session("shoal-experiment-assign", env, settings.spark)
    rows = read_rows(spark, users, ["user_id"], (), {"user_id": ("id", "userId")}, settings.ingest)
    refuse_faults(rows, users, {"user_id": (F.col("user_id").isNull(), "an id")})
    known = rows.select("user_id").distinct().persist()
    counts = {}
    parts = []
    for name, each in definitions.items():
        parts.append(with_arm(known, each.experiment(name), day).select("user_id", F.lit(name).alias("experiment"), "arm"))
        counts[name] = {row["arm"]: row["count"] for row in parts[-1].groupBy("arm").count().orderBy("arm").collect()}
    write_rows(reduce(DataFrame.unionByName, parts).orderBy("experiment", "user_id"), output)
    sys.stdout.write(json.dumps({"as_of": day.isoformat(), "users": counts, "output": str(output)}) + "\n")


@experiment_app.command(name="analyse")
def analyse_file(
    input_path: Annotated[Path, typer.Option("--input", help="One row a user: its arm and its metrics.", metavar="FILE")],
    metric: Annotated[
        list[str],
        typer.Option(
            help="COLUMN (mean, or share where it has 0 and 1 only), Y/X (a ratio of sums), or COLUMN~BEFORE (adjusted by what was "
            "measured before). May be given more than once.",
            metavar="METRIC",
        ),
    ],
    control: Annotated[str, typer.Option(help="The arm that the others are compared with.", metavar="ARM")],
    arm_column: Annotated[str, typer.Option(help="Name of the column with the arm.", metavar="C")] = "arm",
    weights: Annotated[
        Optional[str], typer.Option(help="Planned shares of the arms, control=1,treatment=1. Default: equal.", metavar="A=W,...")
    ] = None,
    segment: Annotated[Optional[list[str]], typer.Option(help="Column to look at one value at a time.", metavar="C")] = None,
    expected_effect: Annotated[
        float, typer.Option(help="In standard deviations: what the sequential test has most power for.", min=1e-6, max=10)
    ] = 0.05,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Compare the arms of an experiment, from a file of its users.

    Prints {"results": [...]}: of each metric and arm the difference with its interval, p-value and corrected p-value, the
    sequential interval and p-value, what is detectable at this size, and whether the sizes of the arms are those that were planned.
    An empty value of a metric counts as 0.

    Example: shoal experiment analyse --input users.csv --metric converted --metric clicks/views --control A
    """
    settings = load(env, with_file_settings(sets))
    spark = spark_session("shoal-experiment-analyse", env, settings.spark)
    table = read_numbers(spark, input_path, [arm_column, *(segment or [])], settings.ingest)
    names = {name: key for key, name in table.numbers.items()}
    rows = table.rows.select(
        F.col(f"row.{quoted(arm_column)}").cast("string").alias("arm"),
        *[F.col(f"row.{quoted(name)}").cast("string").alias(f"segment_{n}") for n, name in enumerate(segment or [])],
        *table.numbers,
    ).persist()
    refuse_faults(rows, input_path, {"arm": (F.col("arm").isNull(), f"an arm (column {arm_column})")})
    arms = [row["arm"] for row in rows.select("arm").distinct().orderBy("arm").limit(101).collect()]
    if len(arms) > 100:
        raise InputError(f"{input_path}: column {arm_column}: more than 100 arms; is it the right column?")
    if control not in arms:
        raise UsageError(f"--control {control}: no row has this arm; found {', '.join(arms[:20])}")
    planned = _weights(weights, [control, *(arm for arm in arms if arm != control)])
    metrics = [_metric(given, names, input_path) for given in metric]
    binary = rows.agg(*[F.min(F.col(m.y).isin(0.0, 1.0) | F.col(m.y).isNull()).alias(m.y) for m in metrics]).collect()[0]
    metrics = [Metric(m.name, "proportion", m.y, m.x) if m.kind == "mean" and binary[m.y] else m for m in metrics]
    plan = AnalysisSettings(planned, tuple(f"segment_{n}" for n in range(len(segment or []))), settings.experiments.level,
                            settings.experiments.power, expected_effect)  # fmt: skip
    try:
        found = analyse(rows, metrics, plan)
    except InputError as error:
        raise InputError(f"{input_path}: {error}") from None
    for row in found:
        if row["segment"].startswith("segment_"):
            row["segment"] = (segment or [])[int(row["segment"].removeprefix("segment_"))]
    sys.stdout.write(json.dumps({"control": control, "level": plan.level, "results": found}) + "\n")


@experiment_app.command()
def power(
    lift: Annotated[float, typer.Option(help="Relative change that is to be found, as 0.05 for five percent.")],
    rate: Annotated[Optional[float], typer.Option(help="Today's share of users, for a proportion.", min=0, max=1)] = None,
    mean: Annotated[Optional[float], typer.Option(help="Today's mean a user, with --deviation.")] = None,
    deviation: Annotated[Optional[float], typer.Option(help="Its standard deviation over users.", min=0)] = None,
    users_per_day: Annotated[Optional[float], typer.Option(help="Users who come into the experiment a day.", min=0)] = None,
    treated: Annotated[float, typer.Option(help="Share of the users who are treated.", min=0.01, max=0.99)] = 0.5,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Print how many users, and days, an experiment needs to find a change, with the power and level of conf.

    Example: shoal experiment power --rate 0.04 --lift 0.05 --users-per-day 20000
    """
    if (rate is None) == (mean is None or deviation is None):
        raise UsageError("give either --rate, or --mean with --deviation")
    if lift == 0:
        raise UsageError("--lift 0: there is nothing to find; expected a relative change such as 0.05")
    conf = load(env, with_file_settings(sets)).experiments
    base = rate if rate is not None else float(mean or 0.0)
    variance = base * (1 - base) if rate is not None else float(deviation or 0.0) ** 2
    effect = base * lift
    if effect == 0 or variance == 0:
        raise UsageError(f"a metric of {base:g} with variance {variance:g}: no number of users finds a relative change of it")
    users = math.ceil(users_needed(variance, effect, treated, conf.power, conf.level))
    said: dict[str, Any] = {"users": users, "difference": effect, "power": conf.power, "level": conf.level}
    if users_per_day:
        said["days"] = math.ceil(users / users_per_day)
    sys.stdout.write(json.dumps(said) + "\n")


def _metric(given: str, names: dict[str, str], path: Path) -> Metric:
    """A metric from its option. Raises InputError for a column that is missing or not numeric."""
    for mark, kind in (("/", "ratio"), ("~", "mean")):
        # A column may have the mark in its name.
        if given not in names and mark in given:
            y, _, x = given.partition(mark)
            return Metric(given, kind, _column(y, names, path), _column(x, names, path))  # type: ignore[arg-type]
    return Metric(given, "mean", _column(given, names, path))


def _column(name: str, names: dict[str, str], path: Path) -> str:
    if name not in names:
        raise InputError(f"{path}: no column of numbers {name!r}; found {', '.join(list(names)[:20]) or 'none'}")
    return names[name]


def _weights(given: str | None, arms: list[str]) -> dict[str, float]:
    """Arm -> weight, the control first. Raises UsageError for a malformed pair, an arm without users, a weight not above 0."""
    if given is None:
        return dict.fromkeys(arms, 1.0)
    found: dict[str, float] = {}
    for pair in given.split(","):
        name, _, text = pair.partition("=")
        try:
            weight = float(text)
        except ValueError:
            weight = math.nan
        if name not in arms or not weight > 0 or not math.isfinite(weight):
            raise UsageError(f"--weights {pair}: expected ARM=WEIGHT above 0 with an arm of {', '.join(arms)}")
        found[name] = weight
    missing = [name for name in arms if name not in found]
    if missing:
        raise UsageError(f"--weights {given}: no weight for {', '.join(missing)}")
    return {name: found[name] for name in arms}
