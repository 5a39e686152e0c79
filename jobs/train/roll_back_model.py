"""Make the version of a model that was champion before the present one champion again.

Reads:  the registered model of the task
Writes: ops.retraining   one row: the decision rolled_back, the versions from and to
        and the champion of the registered model

`--task sentiment --to before`; in the place of `before`, the number of any version. Nothing is trained: the files are those that
served, so that outputs are equal to those of that version. Jobs that score do so anew at their next run; `retrain` waits
retrain.retry_days before it tries again. Exit code 2 where there is no version before, or none of that number.
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import RetrainConf
from shoal.errors import UsageError
from shoal.lake.lake import Lake
from shoal.models.challengers import TASKS
from shoal.models.champion_figures import trained_on
from shoal.models.registry import champion, roll_back, set_champion
from shoal.models.retraining import Outcome
from shoal.models.retraining_table import write_outcomes
from shoal.runner.command import run_job

READS = (
    "models:/shoal_recommender", "models:/shoal_sentiment", "models:/shoal_emotion", "models:/shoal_moderation",
    "models:/shoal_viral", "models:/shoal_engagement", "models:/shoal_influencers",
)  # fmt: skip
WRITES = ("ops.retraining", *READS)
BEFORE = "before"


def run(lake: Lake, conf: RetrainConf, as_of: date, *, task: str, to: str = BEFORE) -> None:
    """Change the champion, then record it."""
    names = {each.name: each.model for each in TASKS}
    if task not in names:
        raise UsageError(f"--task {task}: expected one of {', '.join(names)}")
    present = champion(lake, names[task])
    if present is None:
        raise UsageError(f"{names[task]}: no version is champion; there is nothing to return from")
    found = roll_back(lake, names[task]) if to == BEFORE else set_champion(lake, names[task], to)
    note = "the champion before" if to == BEFORE else "asked for by its number"
    made = Outcome(as_of, task, "rolled_back", None, (), present.label, found.label, trained_on(present), note=note)
    write_outcomes(lake, [made])
    lake.run.note(task=task, from_version=present.label, to_version=found.label)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, RetrainConf, argv)


if __name__ == "__main__":
    sys.exit(main())
