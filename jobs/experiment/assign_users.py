"""Write who was exposed to which experiment, in which arm.

Reads:  silver.interactions            events up to as_of: the first one of an experiment's days exposes a user
        and the experiments of `experiments.file`
Writes: gold.experiment_assignments    one row per experiment and exposed user; replaces as_of
Skipped: without a file of experiments, or with none that has begun.
"""

from __future__ import annotations

import sys
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame
from shoal.conf.sections import ExperimentsConf
from shoal.experiment.definitions import begun_experiments
from shoal.experiment.exposure import exposed_users
from shoal.lake.lake import Lake
from shoal.runner.command import run_job

READS = ("silver.interactions",)
WRITES = ("gold.experiment_assignments",)


def run(lake: Lake, conf: ExperimentsConf, as_of: date) -> None:
    """Find the exposed users of each experiment and replace the day's rows."""
    definitions = begun_experiments(conf.file, as_of)
    events = lake.read("silver.interactions", before=as_of).select("user_id", "event", "occurred_at")
    exposed = [exposed_users(events, name, each, as_of) for name, each in definitions.items()]
    lake.replace("gold.experiment_assignments", reduce(DataFrame.unionByName, exposed), on=as_of, unique=True)
    lake.run.note(experiments=", ".join(definitions))


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, ExperimentsConf, argv)


if __name__ == "__main__":
    sys.exit(main())
