"""`shoal run`, `shoal pipeline`, `shoal demo`: the jobs, from a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from shoal.cli.options import DEFAULT_LAKE, AsOfOption, EnvOption, LakeOption, SetOption
from shoal.cli.rendering import as_text, render
from shoal.conf.loading import load, section_name
from shoal.errors import UsageError
from shoal.lake.lake import Lake, Run
from shoal.lake.query import answer
from shoal.lake.store import refuse_missing_folder, resolved_root
from shoal.runner import pipeline as stages
from shoal.runner.command import parse_as_of, plan
from shoal.runner.execute import Result, execute
from shoal.runner.interrupt import interruptible
from shoal.runner.job import Job, find_job
from shoal.simulate.world import DEMO_AS_OF, demo_world
from shoal.simulate.write import write_world
from shoal.spark.session import spark_session

# The demo is to end within three minutes: one setting of each kind of model, and no Word2Vec, which learns in one thread.
DEMO_SETS = (
    "train_recommender.feedback=implicit", "train_recommender.ranks=[32]", "train_recommender.reg_params=[0.1]",
    "train_recommender.alphas=[0.5]", "similar.vectors=[price,multimodal]",
)  # fmt: skip
# What the demo ingests, in this order, each from the folder of the world beside it.
DEMO_SOURCES = {
    "items": "items", "events": "events", "texts": "texts", "edges": "edges", "moderation": "moderation",
    "fashion_catalog": "pictures",
}  # fmt: skip
# One question for each of the demo's results: recommendations, trends, communities, drift.
DEMO_QUERIES = {
    "What should a user see next?": """
        select r.user_id, r.rank, i.title, round(r.score, 3) as score, r.source, r.reason_code,
          b.title as because_title
        from gold.recommendations r join silver.items i using (item_id) left join silver.items b on b.item_id = r.because_item_id
        where r.as_of = date'{as_of}'
          and r.user_id = (select min(user_id) from gold.recommendations where source in ('blend', 'als'))
        order by r.rank limit 5""",
    "What is trending?": """
        select t.kind, t.rank, i.title, round(t.score, 1) as score, t.events, round(t.trend_z_score, 1) as trend_z_score
        from gold.trending t join silver.items i using (item_id)
        where t.as_of = date'{as_of}' and t.rank <= 2 order by t.kind, t.rank limit 5""",
    "Which communities are there?": """
        select relation, community_id, name, nodes, round(conductance, 3) as conductance
        from gold.community_summary where as_of = date'{as_of}' order by nodes desc, relation, community_id limit 5""",
    "Which posts will go far?": """
        select v.item_id, i.title, round(v.probability, 3) as probability, e.predicted_likes, e.likes_low, e.likes_high
        from gold.viral_posts v join silver.items i using (item_id) left join gold.engagement_predictions e using (as_of, item_id)
        where v.as_of = date'{as_of}' order by v.probability desc, v.item_id limit 5""",
    "What has drifted?": """
        select table_name, column_name, comparison, metric, round(statistic, 4) as statistic, severity
        from ops.drift where as_of = date'{as_of}' and is_drifted
        order by severity, statistic desc, table_name, column_name, metric limit 5""",
}


def run(
    context: typer.Context,
    job: Annotated[str, typer.Argument(help="The job: the name of a file under jobs/ without .py.")],
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    as_of: AsOfOption = None,
    sets: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be read and written, and stop.")] = False,
) -> int:
    """Run one job. Example: shoal run build_recommendations --as-of 2018-09-25 --set k=10 --lake lake"""
    found = find_job(job)
    extras = job_arguments(found, context.args)
    settings = load(env, sets or [], section_name(found.model))
    day = parse_as_of(as_of)
    spark = spark_session(f"shoal-{job}", env, settings.spark)
    if dry_run:
        sys.stdout.write(json.dumps(plan(Lake(spark, lake, settings, Run("dry-run", job)), found, day)) + "\n")
        return 0
    with progress(1) as show:
        show.starting(found)
        result = interruptible(spark, lambda: execute(spark, found, settings, lake, day, extras))
        show.ended(result)
    sys.stdout.write(json.dumps(result.summary()) + "\n")
    return result.exit_code


def job_arguments(job: Job, given: list[str]) -> dict[str, Any]:
    """A job's own arguments from `--name value` pairs and flags. Raises UsageError for one that is missing or unknown."""
    options: dict[str, Any] = {name: True for name in job.flags() if f"--{name}" in given}
    pairs = [g for g in given if g.removeprefix("--") not in options or not g.startswith("--")]
    names, needed = [g[2:] for g in pairs[::2]], set(job.extras()) - set(job.flags())
    if len(pairs) % 2 or any(not g.startswith("--") for g in pairs[::2]) or set(names) != needed:
        shown = [f"[--{name}]" if name in job.flags() else f"--{name} VALUE" for name in job.extras()]
        raise UsageError(f"{job.name} takes {' '.join(shown) or 'no arguments of its own'}, found {' '.join(given) or 'none'}")
    return options | dict(zip(names, pairs[1::2], strict=True))


def pipeline(
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    as_of: AsOfOption = None,
    sets: SetOption = None,
    first: Annotated[Optional[str], typer.Option("--from", metavar="STAGE", help="Default: the first stage.")] = None,
    last: Annotated[Optional[str], typer.Option("--to", metavar="STAGE", help="Default: the last stage.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run jobs that are up to date too.")] = False,
) -> int:
    """Run the jobs that are not up to date, each after those it depends on.

    Example: shoal pipeline --lake lake --as-of 2018-09-25
    """
    settings = load(env, sets or [])
    day = parse_as_of(as_of)
    chosen = stages.jobs_between(settings, first, last)
    refuse_missing_folder(lake, settings.lake.catalog)
    spark = spark_session("shoal-pipeline", env, settings.spark)
    with progress(len(chosen)) as show:
        steps = stages.run_pipeline(spark, settings, lake, day, chosen, force, show.starting, show.ended)
    sys.stderr.write(steps_table(steps))
    summary = {"as_of": day.isoformat(), "lake": resolved_root(lake), "steps": [_summary(step) for step in steps]}
    sys.stdout.write(json.dumps(summary) + "\n")
    return next((step.exit_code for step in steps if isinstance(step, Result) and step.exit_code), 0)


def demo(
    lake: LakeOption = "demo-lake",
    env: EnvOption = "local",
    sets: SetOption = None,
    seed: Annotated[int, typer.Option(help="Another seed is another world.")] = 42,
) -> int:
    """Simulate a world, run every stage on it, and show what came out. Example: shoal demo --lake demo-lake"""
    settings = load(env, [*DEMO_SETS, *(sets or [])], "ingest")
    root, day = Path(lake).resolve(), DEMO_AS_OF
    # The raw world lies beside the lake's layers; its planted truth lies where no job looks.
    raw, truth = root / "raw", root / "raw-truth"
    jobs = stages.jobs_between(settings)
    ingest_job = find_job("ingest_files")
    with progress(len(jobs) + len(DEMO_SOURCES) + 1) as show:
        show.describe("start", "spark")
        spark = spark_session("shoal-demo", env, settings.spark)
        show.describe("simulate", "world")
        interruptible(spark, lambda: write_world(spark, demo_world(seed), raw, truth))
        steps: list[stages.Step] = []
        for source, folder in DEMO_SOURCES.items():
            show.describe("ingest", folder)
            given = {"source": source, "input": str(raw / folder)}
            steps.append(interruptible(spark, partial(execute, spark, ingest_job, settings, root, day, given)))
            show.ended(steps[-1])
            if steps[-1].exit_code:  # type: ignore[union-attr]
                break
        else:
            steps += stages.run_pipeline(spark, settings, root, day, jobs, True, show.starting, show.ended)
    sys.stdout.write(steps_table(steps))
    code = next((step.exit_code for step in steps if isinstance(step, Result) and step.exit_code), 0)
    if code:
        return code
    reader = Lake(spark, root, settings, Run("ask", "demo"))
    for title, query in DEMO_QUERIES.items():
        sys.stdout.write(f"\n{title}\n")
        sys.stdout.write("".join(as_text(answer(reader, query.format(as_of=day.isoformat())), "table", None)))
    sys.stdout.write(f'\nask more:  shoal sql "select ..." --lake {lake}\nreport:    {report_path(steps)}\n')
    return 0


def report_path(steps: list[stages.Step]) -> str:
    """The path of the report that these steps wrote; `none` without one."""
    return next((s.tags["report"] for s in reversed(steps) if isinstance(s, Result) and "report" in s.tags), "none")


def _summary(step: stages.Step) -> dict[str, Any]:
    if isinstance(step, Result):
        return step.summary()
    return {"run_id": step.run_id, "job": step.job, "stage": step.stage, "status": "up_to_date"}


def steps_table(steps: list[stages.Step]) -> str:
    """One line a step: stage, job, status, rows in, rows out, seconds, message."""
    cells = []
    for step in steps:
        if isinstance(step, Result):
            rows_in, rows_out = (f"{sum(rows.values()):,}" for rows in (step.rows_in, step.rows_out))
            cells.append([step.stage, step.job, step.status, rows_in, rows_out, f"{step.seconds:.1f}", step.message or ""])
        else:
            cells.append([step.stage, step.job, "up to date", "", "", "", f"run {step.run_id}; --force runs it again"])
    return render(["stage", "job", "status", "rows in", "rows out", "seconds", ""], cells)


class Show:
    """The progress display: a bar on a terminal, one line a step on stderr elsewhere."""

    def __init__(self, bar: Progress | None, total: int) -> None:
        self.bar = bar
        self.task = bar.add_task("starting", total=total) if bar else None
        self.running: list[tuple[str, str]] = []

    def describe(self, stage: str, what: str) -> None:
        """Name what is being done."""
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, description=f"{stage}: {what}")

    def starting(self, job: Job) -> None:
        """A job begins."""
        self.running.append((job.stage, job.name))
        self._name_running()

    def _name_running(self) -> None:
        if self.running:
            kinds, names = zip(*self.running, strict=True)
            self.describe(" and ".join(dict.fromkeys(kinds)), ", ".join(names))

    def ended(self, step: stages.Step) -> None:
        """A job has ended."""
        self.running = [(stage, name) for stage, name in self.running if name != step.job]
        self._name_running()
        if self.bar is not None and self.task is not None:
            self.bar.advance(self.task)
        status = step.status if isinstance(step, Result) else "up to date"
        seconds = f" in {step.seconds:.1f} s" if isinstance(step, Result) else ""
        message = f": {step.message}" if isinstance(step, Result) and step.message else ""
        line = f"shoal: {step.stage}/{step.job} {status}{seconds}{message}"
        if self.bar is not None:
            if message:
                self.bar.console.print(line, markup=False, highlight=False)
        else:
            sys.stderr.write(line + "\n")


@contextmanager
def progress(total: int) -> Iterator[Show]:
    """A progress display on stderr for `total` steps."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Show(None, total)
        return
    texts = (TextColumn("{task.description}"), TextColumn("{task.completed}/{task.total}"))
    columns = (SpinnerColumn(), *texts, TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield Show(bar, total)
