"""Train champions again where there is a reason, and let the new model serve where it does better on days that neither has seen.

Reads:  ops.runs, ops.drift, ops.retraining   the reasons: see shoal.models.retraining
        the tables of the trainings, only where a task is due
Writes: ops.retraining   one row per task with a champion: the decision, each reason, both models' figures
        and a version of the registered model of each task that was due, champion where it won
Skipped: where nothing is to be trained, in one line; then only the small tables are read, and nothing is written.

A challenger learns from what was known before the last retrain.evaluation_days days, and both models score these days in the
shadow. docs/adr/0152. The training of one task that fails is a row and no failure of the others.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from datetime import date, timedelta

from shoal.conf.sections import RetrainConf
from shoal.errors import InputError, SkippedError
from shoal.lake.lake import Lake
from shoal.mine.probability.paired import MIN_CASES
from shoal.models.challengers import TASKS, EvaluationWindow, Task, TaskConf
from shoal.models.champion_figures import figures_of
from shoal.models.comparison import is_promoted
from shoal.models.post_tables import POST_TABLES
from shoal.models.recommender_training import RecommenderConf
from shoal.models.registry import Model, champion, set_champion
from shoal.models.retraining import Outcome, due, measured, obstacle, reasons
from shoal.models.retraining_table import last_attempts, write_outcomes
from shoal.runner.command import run_job

LOG = logging.getLogger(__name__)
MODELS = (
    "models:/shoal_recommender", "models:/shoal_sentiment", "models:/shoal_emotion", "models:/shoal_moderation",
    "models:/shoal_viral", "models:/shoal_engagement", "models:/shoal_influencers",
)  # fmt: skip
READS = ("ops.runs", "ops.drift", *POST_TABLES, "silver.texts", "silver.blocks", "silver.moderation",
         "silver.profiles", "features.authors", *MODELS)  # fmt: skip
WRITES = ("ops.retraining", *MODELS)
SETTINGS = ("blend", "content", "features", "moderation", "posts", "recommend", "train_recommender", "train_sentiment")


def plan(lake: Lake, conf: RetrainConf, as_of: date) -> list[tuple[Task, Model, Outcome]]:
    """Every task with a champion, and what is to become of it: "due" where a challenger is to be trained. Each reason is a line of
    the log."""
    champions = {task: model for task in TASKS if (model := champion(lake, task.model)) is not None}
    if not champions:
        raise SkippedError("no model is champion in this lake; the jobs of the stage train register them")
    attempts, planned = last_attempts(lake, as_of), []
    for task, known in figures_of(lake, champions, as_of).items():
        found = reasons(known, conf, as_of)
        for each in found:
            shown = "not measured" if each.value is None else f"{each.value:.4g} of {each.threshold:g}"
            LOG.info("%s: %s %s%s (%s)", task.name, each.reason, shown, ", due" if each.is_due else "", each.note)
        names = due(found)
        stop = obstacle(known.trained_on, attempts.get(task.name), conf, as_of) if names else ("not_due", None)
        decision, note = stop or ("due", None)
        made = Outcome(as_of, task.name, decision, ", ".join(names) or None, found, champions[task].label,
                       trained_on=known.trained_on, note=note)  # fmt: skip
        planned.append((task, champions[task], made))
    return planned


def attempt(lake: Lake, conf: RetrainConf, others: TaskConf, task: Task, serving: Model, planned: Outcome) -> Outcome:
    """Train a challenger, compare, promote it where it is to serve."""
    window = EvaluationWindow(planned.as_of - timedelta(days=conf.evaluation_days), planned.as_of)
    begun = replace(planned, window_start=window.start, window_end=window.end)
    try:
        cases = task.count(lake, others, window)
        if cases < MIN_CASES:
            return replace(begun, decision="not_enough", cases=cases, note=f"fewer than {MIN_CASES} cases to decide by")
        challenger, found = task.compete(lake, others, serving, window)
    except (InputError, SkippedError) as error:
        return replace(begun, decision="failed", note=str(error))
    done = replace(begun, to_version=challenger.label, **measured(found))  # type: ignore[arg-type]
    if challenger.label == serving.label:
        return replace(done, decision="kept", note="the training gives the model that serves already")
    if not is_promoted(found, (planned.due or "").split(", "), conf.max_p_value, conf.max_loss):
        return replace(done, decision="kept", note="the challenger is not better")
    set_champion(lake, task.model, challenger.version)
    return replace(done, decision="promoted", note="better" if found.is_better(conf.max_p_value) else "not worse, and younger")


def run(lake: Lake, conf: RetrainConf, as_of: date) -> None:
    """Decide, train what is due, and keep each outcome as soon as it is known."""
    planned = plan(lake, conf, as_of)
    if all(made.decision != "due" for _, _, made in planned):
        raise SkippedError("nothing to train: " + "; ".join(_said(made) for _, _, made in planned))
    settings = lake.settings
    recommender = RecommenderConf(
        settings.train_recommender, settings.blend, settings.content, settings.features, settings.recommend
    )
    others = TaskConf(recommender, settings.train_sentiment, settings.posts, settings.moderation.allowed_labels)
    if rest := [made for _, _, made in planned if made.decision != "due"]:
        write_outcomes(lake, rest)
    for task, serving, made in planned:
        if made.decision == "due":
            outcome = attempt(lake, conf, others, task, serving, made)
            write_outcomes(lake, [outcome])
            LOG.info("%s: %s (%s)", task.name, outcome.decision, outcome.note)
            lake.run.note(**{task.name: outcome.decision, f"{task.name}_version": outcome.to_version or ""})


def _said(made: Outcome) -> str:
    """A task in a few words."""
    if made.decision == "not_due":
        age = made.reasons[0]
        return f"{made.task} is not due ({age.value:.0f} of {age.threshold:.0f} days old)"
    return f"{made.task} is due ({made.due}) but {made.decision} ({made.note})"


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, RetrainConf, argv)


if __name__ == "__main__":
    sys.exit(main())
