"""Compare the arms of each experiment by its metrics.

Reads:  gold.experiment_assignments   who was exposed, in which arm, of as_of
        silver.interactions           events up to as_of: from the exposure on, and of the days before the start, to adjust by
        silver.users                  segments, where an experiment has any
        and the experiments of `experiments.file`
Writes: gold.experiment_results       one row per experiment, segment, value, metric and arm; replaces as_of
Skipped: without a file of experiments, or where no experiment has users of two arms.
"""

from __future__ import annotations

import sys
from datetime import date
from typing import Any

from pyspark.sql import functions as F
from pyspark.sql.types import StructType
from shoal.conf.sections import ExperimentsConf
from shoal.errors import InputError, SkippedError
from shoal.experiment.analysis import analyse, with_pace
from shoal.experiment.definitions import Definition, begun_experiments
from shoal.experiment.exposure import with_metrics
from shoal.lake.contract import contract
from shoal.lake.lake import Lake
from shoal.runner.command import run_job

READS = ("gold.experiment_assignments", "silver.interactions", "silver.users")
WRITES = ("gold.experiment_results",)


def results_of(lake: Lake, conf: ExperimentsConf, name: str, definition: Definition, as_of: date) -> list[dict[str, Any]]:
    """The rows of one experiment; none, with a note in the run, where it has no users of two arms."""
    exposed = lake.read("gold.experiment_assignments", on=as_of).where(F.col("experiment") == name)
    users, metrics = with_metrics(exposed, lake.read("silver.interactions", before=as_of), definition, as_of)
    if definition.segments:
        known = lake.read("silver.users", before=as_of, missing_ok=True).select("user_id", *definition.segments)
        users = users.join(known, "user_id", "left")
    settings = definition.analysis(conf.level, conf.power)
    try:
        rows = analyse(users, metrics, settings)
    except InputError as error:
        lake.run.note(**{f"not_analysed_{name}": str(error)})
        return []
    days = (min(definition.end, as_of) - definition.start).days + 1
    return [{"experiment": name, **row} for row in with_pace(rows, days, settings)]


def run(lake: Lake, conf: ExperimentsConf, as_of: date) -> None:
    """Analyse every experiment and replace the day's rows."""
    rows = [row for name, each in begun_experiments(conf.file, as_of).items() for row in results_of(lake, conf, name, each, as_of)]
    if not rows:
        raise SkippedError(f"no experiment has users of two arms by {as_of}")
    made = StructType([field for field in contract(WRITES[0]).struct() if field.name not in ("as_of", "run_id")])
    values = [tuple(row[field.name] for field in made) for row in rows]
    lake.replace(WRITES[0], lake.spark.createDataFrame(values, made), on=as_of, unique=True)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, ExperimentsConf, argv)


if __name__ == "__main__":
    sys.exit(main())
