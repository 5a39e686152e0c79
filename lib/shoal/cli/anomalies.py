"""`shoal score anomalies`: moments of series, or rows of many columns; no model, no lake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.cli.options import EnvOption, SetOption, with_file_settings
from shoal.cli.posts import InputOption, OutputOption, say
from shoal.conf.loading import load, section_name
from shoal.conf.sections import AnomaliesConf
from shoal.errors import InputError, UsageError
from shoal.ingest.formats.files import check_output, quoted, refuse_faults, write_rows
from shoal.ingest.sources.post_files import SERIES_FIELDS, read_table, text_fields
from shoal.mine.anomalies.isolation_forest import score_rows
from shoal.mine.anomalies.seasonal import AlarmRule
from shoal.mine.anomalies.series import score_moments
from shoal.spark.session import spark_session


def score_anomalies(
    input_path: InputOption,
    output: OutputOption,
    time_column: Annotated[Optional[str], typer.Option(help="Column with the moments of a series.", metavar="T")] = None,
    value_column: Annotated[Optional[str], typer.Option(help="Column with the values of a series.", metavar="V")] = None,
    series_column: Annotated[
        Optional[str], typer.Option(help="Column with the name of the series. Default: all rows are one series.", metavar="S")
    ] = None,
    feature_columns: Annotated[
        Optional[str], typer.Option(help="Columns of numbers, with commas between: rows unlike the others.", metavar="A,B,C")
    ] = None,
    contamination: Annotated[
        Optional[float], typer.Option(help="With --feature-columns: the share of rows that are anomalies.", metavar="SHARE")
    ] = None,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Add anomaly_score and is_anomaly to the rows of a file; to a series also expected, expected_low, expected_high.

    Series: a moment is compared with the same hours of the days before it (days: the same weekdays); the score is in robust
    deviations, and few moments are raised, no two within a day. Rows: an isolation forest; the share --contamination with the
    largest scores is raised. The columns of the input and the order of its rows stay.

    Examples: shoal score anomalies --input likes.csv --time-column day --value-column likes --series-column user_id --output
    scored.csv
              shoal score anomalies --input accounts.csv --feature-columns followers,posts,likes --output scored.csv
    """
    check_output(output)
    is_series = time_column is not None and value_column is not None and feature_columns is None
    if not is_series and (feature_columns is None or time_column or value_column or series_column):
        raise UsageError("expected --time-column and --value-column (a series), or --feature-columns (rows); see --help")
    if is_series and contamination is not None:
        raise UsageError(
            "--contamination: belongs to --feature-columns; of series --set alarm_share=0.001 sets the share that is raised"
        )
    settings = load(env, with_file_settings(sets), section_name(AnomaliesConf))
    conf: AnomaliesConf = settings.section(AnomaliesConf)
    if contamination is not None and not 0 < contamination <= 0.5:
        raise UsageError(f"--contamination {contamination}: expected a share above 0, at most 0.5")
    spark = spark_session("shoal-score-anomalies", env, settings.spark)
    if is_series:
        columns = {"measured_at": time_column, "value": value_column, **({"series": series_column} if series_column else {})}
        wanted = settings.ingest.model_copy(update={"column_mapping": columns})
        rows = read_table(spark, input_path, SERIES_FIELDS if series_column else SERIES_FIELDS[:2], wanted)
        rows = _with_numbers(rows, ["value"], input_path, {"value": str(value_column)})
        name = F.coalesce("series", F.lit("")) if series_column else F.lit("")
        found = score_moments(rows.withColumn("series", name), AlarmRule(conf.alarm_share, conf.least_alarms))
        made = ["anomaly_score", "is_anomaly", "expected", "expected_low", "expected_high"]
    else:
        names = [name.strip() for name in str(feature_columns).split(",") if name.strip()]
        if not names or len(set(names)) < len(names):
            raise UsageError(f"--feature-columns {feature_columns}: expected names of columns, each once, with commas between")
        ours = {f"feature_{i}": name for i, name in enumerate(names)}
        wanted = settings.ingest.model_copy(update={"column_mapping": ours})
        rows = _with_numbers(read_table(spark, input_path, text_fields(list(ours)), wanted), list(ours), input_path, ours)
        try:
            found = score_rows(rows, list(ours), conf.contamination if contamination is None else contamination, conf.seed)
        except InputError as error:
            raise InputError(f"{input_path}: {error}") from None
        made = ["anomaly_score", "is_anomaly"]
    scored = _joined(rows, found, made).persist()
    write_rows(scored.orderBy("position").drop("position"), output)
    facts = scored.agg(F.count("*").alias("rows"), F.count_if("is_anomaly").alias("anomalies")).collect()[0]
    say(task="anomalies", rows=facts["rows"], anomalies=facts["anomalies"], output=str(output))


def _with_numbers(rows: DataFrame, names: list[str], path: Path, theirs: dict[str, str]) -> DataFrame:
    """The rows with these columns as doubles; an empty field is null. Raises InputError for a text that is no number."""
    number = {name: F.trim(name).cast("double") for name in names}
    faults = {
        theirs[name]: (number[name].isNull() & (F.trim(name) != "") & ~F.lower(F.trim(name)).isin("nan", "none", "null"), "numbers")
        for name in names
    }
    shown = rows.select("*", *[F.col(name).alias(theirs[name]) for name in names if theirs[name] not in rows.columns])
    refuse_faults(shown, path, faults)
    return rows.withColumns({name: F.when(~F.isnan(number[name]) & (F.abs(number[name]) < 1e300), number[name]) for name in names})


def _joined(rows: DataFrame, found: DataFrame, made: list[str]) -> DataFrame:
    """`position`, the input's own columns less those that are made here, then those; a row without a score has 0 and false."""
    folded = {name.casefold() for name in made}
    kept = [name for name in rows.select("row.*").columns if name.casefold() not in folded]
    joined = rows.select("row", "position").join(found, "position", "left")
    whole = {"anomaly_score": F.coalesce("anomaly_score", F.lit(0.0)), "is_anomaly": F.coalesce("is_anomaly", F.lit(False))}
    return joined.withColumns(whole).select(
        "position", *[F.col(f"row.{quoted(name)}").alias(name) for name in kept], *made
    )  # fmt: skip
