"""Settings: precedence, and one line for every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from shoal.conf.home import home
from shoal.conf.loading import load
from shoal.conf.reasons import Setting, effective_settings
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
        (["graph.seed=7"], None, "graph.seed: no such setting; `seed` is one for all sections: --set seed=7"),
        (["seed=x"], None, "seed: input should be a valid integer, unable to parse string as an integer, found 'x'"),
        (["lake.advanced.retries=1"], None, "lake.advanced: no such setting; conf/base.yaml lists them"),
        (["recommend.k=[1"], None, "--set recommend.k=[1: not a YAML value"),
    ],
)
def test_mistakes_are_one_line_that_says_what_to_do(sets: list[str], section: str | None, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        load("local", sets, section)
    assert str(caught.value) == says
    assert caught.value.exit_code == 2


def test_an_unknown_environment_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="--env staging: no such environment; there are cluster, databricks, local"):
        load("staging")


def test_there_is_one_seed() -> None:
    settings = load(sets=["seed=7"])
    sections = (settings.train_recommender, settings.train_sentiment, settings.graph, settings.recommend, settings.similar)
    assert {conf.seed for conf in (*sections, settings.evaluate_policies, settings.evaluate_recommender)} == {7}
    assert load("local", ["seed=8"], "graph").graph.seed == 8


def test_advanced_settings_are_keys_of_their_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = yaml.safe_load((home() / "conf" / "base.yaml").read_text(encoding="utf-8"))
    assert load().lake.retries == written["lake"]["advanced"]["retries"]
    assert load(sets=["lake.retries=1"]).lake.retries == 1
    assert load("local", ["split_bytes=7"], "ingest").ingest.split_bytes == 7
    (tmp_path / "conf").mkdir()
    written["lake"]["retries"] = 3
    (tmp_path / "conf" / "base.yaml").write_text(yaml.safe_dump(written))
    (tmp_path / "conf" / "local.yaml").write_text("lake: {advanced: {backoff_seconds: 2}}")
    monkeypatch.setenv("SHOAL_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="base.yaml: lake.retries is there twice, under lake and under lake.advanced"):
        load()
    del written["lake"]["retries"]
    (tmp_path / "conf" / "base.yaml").write_text(yaml.safe_dump(written))
    assert (load().lake.backoff_seconds, load().lake.retries) == (2, 5)


def test_every_setting_has_a_reason_and_says_where_it_comes_from() -> None:
    found = {s.key: s for s in effective_settings("databricks", ["k=10", "spark.driver.memory=3g"], "recommend")}
    assert [key for key, setting in found.items() if not setting.reason] == []
    assert found["recommend.k"] == Setting("recommend.k", 10, "--set", "Length of each user's list.")
    assert (found["lake.catalog"].value, found["lake.catalog"].origin) == ("shoal", "databricks.yaml")
    assert (found["lake.retries"].origin, found["lake.retries"].is_advanced) == ("base.yaml", True)
    # The comment above max_record_bytes is of both.
    assert found["ingest.max_record_lines"].reason == found["ingest.max_record_bytes"].reason
    assert found["graph.damping"].reason == "Brin and Page 1998, section 2.1.1."
    assert found["spark.driver.memory"].value == "3g"
    assert found["seed"].value == 42
    assert not [key for key in found if key.endswith(".seed")]


def test_the_settings_of_some_sections_have_the_seed_where_one_of_them_does() -> None:
    assert [s.key for s in effective_settings(sections=["features"])][0] == "features.half_life_days"
    assert [s.key for s in effective_settings(sections=["graph"])][0] == "seed"
