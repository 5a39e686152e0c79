"""Who is in which arm: stable, in proportion, exclusive within a layer, independent between layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from scipy import stats
from shoal.errors import UsageError
from shoal.experiment.assignment import Experiment, arm_of, check_experiments, with_arm
from shoal.experiment.definitions import begun_experiments, read_definitions

DAY = date(2024, 1, 10)
PLAIN = Experiment("plain", (("control", 1.0), ("treatment", 3.0)), DAY, date(2024, 1, 20))
NAMES = [f"u{n}" for n in range(20_000)]


def arms(experiment: Experiment, day: date = DAY) -> dict[str, str]:
    return {name: arm for name in NAMES if (arm := arm_of(name, experiment, day)) is not None}


def test_spark_and_python_assign_alike(spark: SparkSession) -> None:
    ramped = replace(PLAIN, ramp=((DAY, 0.25),), first_bucket=1000, buckets=8000)
    users = spark.createDataFrame([(name,) for name in [*NAMES[:3000], "é\u4e2d", ""]], "user_id string")
    found = {row["user_id"]: row["arm"] for row in with_arm(users, ramped, DAY).collect()}
    assert found == {row: arm for row in [*NAMES[:3000], "é\u4e2d", ""] if (arm := arm_of(row, ramped, DAY)) is not None}
    # A quarter of eight tenths.
    assert 500 < len(found) < 700


def test_arms_have_their_weights_and_everybody_is_in() -> None:
    found = arms(PLAIN)
    assert len(found) == len(NAMES)
    sizes = [sum(arm == name for arm in found.values()) for name in ("control", "treatment")]
    assert stats.chisquare(sizes, [5000, 15000]).pvalue > 0.001


def test_a_ramp_lets_more_in_and_keeps_those_who_are_in() -> None:
    ramped = replace(PLAIN, ramp=((DAY, 0.1), (date(2024, 1, 12), 0.5), (date(2024, 1, 15), 1.0)))
    days = [arms(ramped, date(2024, 1, day)) for day in (9, 10, 11, 12, 20, 21)]
    assert [round(len(found) / len(NAMES), 1) for found in days] == [0.0, 0.1, 0.1, 0.5, 1.0, 0.0]
    assert days[1] == days[2]
    assert days[1].items() <= days[3].items() <= days[4].items()


def test_a_layer_divides_its_users_and_layers_are_independent() -> None:
    left, right = replace(PLAIN, name="left", buckets=4000), replace(PLAIN, name="right", first_bucket=4000, buckets=6000)
    other = replace(PLAIN, name="other", layer="ads", arms=(("a", 1.0), ("b", 1.0)))
    assert not set(arms(left)) & set(arms(right))
    assert set(arms(left)) | set(arms(right)) == set(NAMES)
    in_left, in_other = arms(left), arms(other)
    pairs = Counter((in_left[name], in_other[name]) for name in in_left)
    counts = [[pairs[one, two] for two in "ab"] for one in ("control", "treatment")]
    assert stats.chi2_contingency(counts).pvalue > 0.001


@pytest.mark.parametrize(
    ("experiments", "says"),
    [
        ([PLAIN, PLAIN], "experiment plain: two experiments have this name"),
        ([replace(PLAIN, arms=(("control", 1.0),))], "experiment plain: 1 arm; expected at least two"),
        ([replace(PLAIN, arms=(("a", 1.0), ("a", 1.0)))], "two arms have the same name"),
        ([replace(PLAIN, arms=(("a", 1.0), ("b", 0.0)))], "weights of arms must be above 0"),
        ([replace(PLAIN, end=date(2024, 1, 1))], "ends on 2024-01-01, before its start on 2024-01-10"),
        ([replace(PLAIN, first_bucket=9000, buckets=2000)], "buckets 9000 to 10999; a layer has 0 to 9999"),
        ([replace(PLAIN, ramp=((DAY, 0.5), (date(2024, 1, 12), 0.4)))], "the ramp must grow"),
        ([PLAIN, replace(PLAIN, name="b")], "experiments plain and b: the same buckets of layer default on the same days"),
    ],
)
def test_experiments_that_cannot_be_run_are_one_line(experiments: list[Experiment], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_experiments(experiments)
    check_experiments([PLAIN, replace(PLAIN, name="later", start=date(2024, 2, 1), end=date(2024, 2, 2))])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: {start: 2024-01-01, end: 2024-01-02, arms: {x: 1}, metrics: {m: {kind: mean, event: like}}}", "experiment a: 1 arm"),
        ("a: {start: 2024-01-01}", r"a\.end: Field required"),
        ("a: {start: 2024-01-01, end: 2024-01-02, arms: {x: 1, y: 1}, metrics: {m: {kind: sum, event: like}}}",
         r"a\.metrics\.m\.kind: "),
        ("a: {start: 2024-01-01, end: 2024-01-02, arms: {x: 1, y: 1}, metrics: {m: {kind: ratio, event: like}}}",
         r"a\.metrics\.m\.per: goes with kind ratio, which needs it"),
        ("- a", "expected experiments by their names, found a list"),
        ("a: [", "cannot be read as YAML"),
    ],
)  # fmt: skip
def test_mistakes_in_the_file_name_the_key(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "experiments.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=says) as raised:
        begun_experiments(str(file), DAY)
    assert str(raised.value).startswith(f"{file}: ")
    assert "\n" not in str(raised.value)


def test_the_example_is_sound() -> None:
    example = Path(__file__).resolve().parents[2] / "conf" / "experiments" / "example.yaml"
    assert list(read_definitions(example)) == ["feed_ranking", "quiet_push"]
