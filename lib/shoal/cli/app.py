"""All commands in one application, and the one place where a command's failure becomes a line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback

import typer

from shoal import __version__
from shoal.cli import (
    anomalies,
    archive,
    config,
    evaluate,
    experiment,
    features,
    graph,
    influencers,
    ingest,
    jobs,
    models,
    pictures,
    policies,
    posts,
    privacy,
    score,
    segment,
    simulate,
    split,
    sql_server,
    stream,
    train,
    watch,
)
from shoal.cli import publish as publishing
from shoal.cli import query as ask
from shoal.errors import ShoalError, one_line
from shoal.runner.interrupt import INTERRUPTED
from shoal.spark.text_encoding import check_text_encoding

# The base class of the command-line library's errors of usage; it is not exported under a name.
_USAGE = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="shoal", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Spark batch jobs from a social product's raw records to Delta tables that people query.",
)  # fmt: skip

app.command()(jobs.demo)
app.command()(ingest.ingest)
app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(jobs.run)
app.command()(jobs.pipeline)
app.command()(config.config)
app.command("demo-stream")(stream.demo_stream)
app.command()(ask.sql)
app.command()(ask.tables)
app.command()(ask.describe)
app.command()(ask.docs)
app.command()(privacy.erase)
app.command()(privacy.export)
app.command()(privacy.grants)
app.command()(simulate.simulate)
app.command()(publishing.publish)
app.command()(publishing.serve)
app.command("sql-server")(sql_server.sql_server)
app.command()(watch.alerts)
app.command()(watch.metrics)
train.train_app.command("engagement")(posts.train_engagement_file)
train.train_app.command("viral")(posts.train_viral_file)
score.score_app.command("engagement")(posts.score_engagement_file)
score.score_app.command("viral")(posts.score_viral_file)
train.train_app.command("influencers")(influencers.train_influencers_file)
score.score_app.command("influencers")(influencers.score_influencers_file)
train.train_app.command("images")(pictures.train_images)
score.score_app.command("images")(pictures.score_images)
score.score_app.command("anomalies")(anomalies.score_anomalies)
app.command()(segment.segment)
app.command()(archive.archive)
app.command()(features.features)
app.add_typer(train.train_app, name="train", no_args_is_help=True)
app.add_typer(score.score_app, name="score", no_args_is_help=True)
evaluate.evaluate_app.command()(policies.policies)
evaluate.evaluate_app.command()(split.split)
app.add_typer(evaluate.evaluate_app, name="evaluate", no_args_is_help=True)
app.add_typer(experiment.experiment_app, name="experiment", no_args_is_help=True)
app.add_typer(models.models_app, name="models", no_args_is_help=True)
app.add_typer(graph.graph_app, name="graph", no_args_is_help=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Spark batch jobs from a social product's raw records to Delta tables that people query."""


def run(argv: list[str]) -> int:
    """Run the command line and return its exit code."""
    try:
        check_text_encoding()
        code = app(args=argv, prog_name="shoal", standalone_mode=False)
        if code == INTERRUPTED:
            # typer has taken the interrupt, without a message.
            sys.stderr.write("shoal: stopped\n")
        return code if isinstance(code, int) else 0
    except typer.Exit as left:
        return left.exit_code
    except (typer.Abort, KeyboardInterrupt):
        sys.stderr.write("shoal: stopped\n")
        return INTERRUPTED
    except ShoalError as error:
        sys.stderr.write(f"shoal: {one_line(error)}\n")
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line, never a trace
        if isinstance(error, _USAGE):
            text = error.format_message()  # type: ignore[attr-defined]
            help_shown = type(error).__name__ == "NoArgsIsHelpError"
            line = text if help_shown else f"shoal: {' '.join(text.split())}; `shoal --help` lists what there is"
            sys.stderr.write(f"{line}\n")
            return 2
        if os.environ.get("SHOAL_DEBUG"):
            traceback.print_exc()
        sys.stderr.write(f"shoal: internal error: {type(error).__name__}: {one_line(error)} (SHOAL_DEBUG=1 shows the trace)\n")
        return 5
