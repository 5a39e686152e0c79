"""Settings: precedence, and one line for every mistake."""

from __future__ import annotations

import pytest
from shoal.conf.loading import load
from shoal.errors import UsageError


def test_values_come_from_base_then_env_then_set() -> None:
    assert load().graph.damping == 0.85
    assert load("databricks").lake.catalog == "shoal"
    assert load("databricks", ["lake.catalog=other"]).lake.catalog == "other"
    assert load(sets=["graph.damping=0.5"]).graph.damping == 0.5


def test_a_key_without_a_section_is_the_jobs_own() -> None:
    sets = ["max_reject_ratio=0.1", "column_mapping.user_id=userId", "delimiter=:", "comment=#", "timestamp_format=HH: mm"]
    conf = load(sets=sets, job_section="ingest").ingest
    assert (conf.max_reject_ratio, conf.column_mapping) == (0.1, {"user_id": "userId"})
    assert (conf.delimiter, conf.comment, conf.timestamp_format) == (":", "#", "HH: mm")


def test_a_renamed_column_is_text_even_where_it_looks_like_a_number() -> None:
    assert load(sets=["ingest.column_mapping.user_id=1"]).ingest.column_mapping == {"user_id": "1"}


def test_spark_settings_keep_their_dots() -> None:
    assert load(sets=["spark.driver.memory=3g"]).spark == {"spark.driver.memory": "3g"}


@pytest.mark.parametrize(
    ("sets", "section", "says"),
    [
        (["graph.dampin=1"], None, "graph.dampin: no such setting; did you mean damping?"),
        (["grahp.damping=1"], None, "--set grahp.damping: no such setting; did you mean graph.damping?"),
        (["max_reject_rate=1"], "ingest", "--set max_reject_rate: no such setting; did you mean max_reject_ratio?"),
        (["recommend.k=0"], None, "recommend.k: input should be greater than or equal to 1, found 0"),
        (
            ["recommend.k=ten"],
            None,
            "recommend.k: input should be a valid integer, unable to parse string as an integer, found 'ten'",
        ),
        (["recommend.k"], None, "--set recommend.k: expected key=value"),
        (["recommend.k.x=1"], None, "--set recommend.k.x: k is a value, it has no keys of its own"),
        (["lake.catalog=a`b"], None, "lake.catalog: string should match pattern '^[A-Za-z0-9_]+$', found 'a`b'"),
        (["recommend.k=[1"], None, "--set recommend.k=[1: not a YAML value"),
    ],
)
def test_mistakes_are_one_line_that_says_what_to_do(sets: list[str], section: str | None, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        load("local", sets, section)
    assert str(caught.value) == says
    assert caught.value.exit_code == 2


def test_an_unknown_environment_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="--env staging: no such environment; there are databricks, local"):
        load("staging")
