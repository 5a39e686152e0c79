"""Every user's list: sources, reasons, nothing seen, nothing from the future, the same twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from shoal.conf.sections import Settings
from shoal.errors import InputError, SkippedError, UsageError
from shoal.lake.contract import contract
from shoal.lake.lake import Lake
from shoal.recommend.candidates.blend import EXPLAINED
from shoal.recommend.candidates.cold_start import Groups, PopularitySettings, cold_start_candidates
from shoal.recommend.candidates.preferences import preferences
from shoal.recommend.ranking.context import RecommendationContext
from shoal.recommend.ranking.lists import backfill_lists
from shoal.recommend.ranking.rules import allowed_items, blocked_items, removed_items
from shoal.runner.job import find_job

from jobs.recommend.build_recommendations import asked_users, exploration_of, upsert_user_lists
from tests.support.long import long

DAY = date(2024, 3, 1)
ARMS = ("context string, item_id string, pulls bigint, rewards double, mean_reward double, epsilon_greedy double, ucb1 double, "
        "thompson double")  # fmt: skip
EVENTS = "event_id string, user_id string, item_id string, event string, value double, occurred_at timestamp, source string"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The shipped settings with one trial and lists of three."""
    small = settings.train_recommender.model_copy(
        update={"ranks": [4], "reg_params": [0.1], "alphas": [1.0], "search_iter": 1, "max_iter": 4}
    )
    return settings.model_copy(
        update={"train_recommender": small, "recommend": settings.recommend.model_copy(update={"k": 3, "cold_start_slots": 1})}
    )


def rows_of(spark: SparkSession, table: str, rows: list[dict[str, Any]]) -> DataFrame:
    """Rows of a table, what is not said being null; without run_id."""
    columns = {n: c.type for n, c in contract(table).columns.items() if n != "run_id"}
    made = [tuple({"source": "test", **row}.get(n) for n in columns) for row in rows]
    return spark.createDataFrame(made, ", ".join(f"{n} {t}" for n, t in columns.items()))


def fill(spark: SparkSession, lake: Lake) -> None:
    """Two groups of six users and eight items; each user has six items of its group. Users below 6 rate, the others like."""
    rows = [
        (f"e{user}-{item}", f"u{user}", f"{user % 2}-{item}", "rating" if user < 6 else "like", 4.0 if user < 6 else None,
         datetime(2024, 2, 20) + timedelta(hours=user * 8 + item), "test")
        for user in range(12)
        for item in range(8)
        if (user // 2 + item) % 4
    ]  # fmt: skip
    # After as_of: the film that everybody will like may not be in any list, nor may its user.
    rows += [(f"f{n}", f"u{n}", "future", "like", None, datetime(2024, 3, 2), "test") for n in range(5)]
    lake.append("silver.interactions", spark.createDataFrame(rows, EVENTS))
    long = "A  very\nlong " + "text " * 30
    titled = [{"item_id": f"0-{n}", "kind": "film", "title": f"Film {n}"} for n in range(8)]
    titled.append({"item_id": "new", "kind": "film", "title": "Film 9", "owner_id": "maker"})
    titled.append({"item_id": "spam", "kind": "film", "title": "Film 9"})
    lake.append("silver.items", rows_of(spark, "silver.items", [*titled, {"item_id": "1-0", "kind": "post", "text": long}]))
    lake.append("silver.blocks", rows_of(spark, "silver.blocks", [{"user_id": "u0", "blocked_id": "maker"}]))
    decided = [("spam", (2, 1), "removed"), ("new", (2, 1), "removed"), ("new", (2, 20), "allowed"), ("0-0", (3, 2), "removed")]
    verdicts = [{"item_id": item, "decided_at": datetime(2024, *day), "verdict": verdict} for item, day, verdict in decided]
    lake.append("silver.moderation", rows_of(spark, "silver.moderation", verdicts))
    tie = {"src_id": "u0", "dst_id": "follower only", "weight": 1.0}
    lake.append("silver.follows", rows_of(spark, "silver.follows", [tie]))
    # Six users of a country; the other six are of none that is known.
    profiles = [{"user_id": f"u{n}", "country": "pt" if n % 4 < 2 else None} for n in range(12)]
    lake.append("silver.profiles", rows_of(spark, "silver.profiles", profiles))


def build(lake: Lake) -> list[Row]:
    job = find_job("build_recommendations")
    job.run(lake, lake.settings.recommend, DAY)
    return lake.read("gold.recommendations", on=DAY).orderBy("user_id", "rank").collect()


@long
@pytest.mark.slow
@pytest.mark.timeout(900)  # trains the blend in its fixture
def test_everybody_gets_a_list_with_reasons_and_the_same_twice(
    spark: SparkSession, make_lake: Callable[..., Lake], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = make_lake()
    fill(spark, lake)
    # Twelve users decide nothing: the blend is to serve.
    monkeypatch.setattr("shoal.recommend.evaluation.training.is_better", lambda *_: True)
    find_job("train_recommender").run(lake, lake.settings.train_recommender, DAY)
    measured = {(r["model"], r["metric"]): r for r in lake.read("ops.model_metrics", on=DAY).where("slice = 'all'").collect()}
    assert {model for (model, _), row in measured.items() if row["is_champion"]} == {"blend"}
    # A user who came after training, on the same day.
    late = [("late", "newcomer", "0-0", "purchase", 9.99, datetime(2024, 3, 1, 23), "test")]
    lake.append("silver.interactions", spark.createDataFrame(late, EVENTS))
    lake = make_lake(run_id="run-2")
    rows = build(lake)

    lists: dict[str, list[Row]] = {}
    for row in rows:
        lists.setdefault(row["user_id"], []).append(row)
    assert set(lists) == {*(f"u{n}" for n in range(12)), "newcomer", "follower only"}
    assert all([r["rank"] for r in one] == [1, 2, 3] for one in lists.values())
    seen = {(r["user_id"], r["item_id"]) for r in lake.read("silver.interactions", before=DAY).collect()}
    assert not any((r["user_id"], r["item_id"]) in seen for r in rows)
    # What came after as_of, decisions of moderators too, is not known; `spam` was removed before, `new` restored.
    assert not any(r["item_id"] in ("future", "spam") for r in rows)
    assert any(r["item_id"] == "0-0" for r in rows)

    sources = {user: {r["source"] for r in one} for user, one in lists.items()}
    assert {user for user, found in sources.items() if found == {"popularity"}} == {"follower only"}
    # The blend goes by the history, which a newcomer has.
    assert sources["newcomer"] == {"blend"}
    # The last place is the cold-start slot, for users whom ALS knows.
    assert all([(r["source"], r["item_id"]) for r in lists[f"u{n}"]][2] == ("content", "new") for n in range(1, 12))
    # But u0 has blocked who made it.
    assert not any(r["item_id"] == "new" for r in lists["u0"])
    assert {r["source"] for n in range(12) for r in lists[f"u{n}"][:2]} == {"blend"}
    assert {(r["reason_code"], r["because_item_id"]) for n in range(1, 12) for r in lists[f"u{n}"][2:]} == {("new_item", None)}
    # Each user's two unseen items of its own group come first.
    assert all({r["item_id"][0] for r in lists[f"u{n}"][:2]} == {str(n % 2)} for n in range(12))
    assert all(r["parts"] == {r["source"]: r["score"]} for r in lists["follower only"])
    assert [set(r["parts"]) for r in lists["u2"]] == [set(EXPLAINED), set(EXPLAINED), {"content"}]
    # The country counts for who has one.
    assert {n for n in range(12) for r in lists[f"u{n}"] if r["parts"].get("demographic", 0.0) != 0} == {0, 1, 4, 5, 8, 9}
    assert {(r["variant"], r["model_version"], r["propensity"]) for r in rows} == {("champion", "shoal_recommender/1", 1.0)}

    codes = {user: [r["reason_code"] for r in one] for user, one in lists.items()}
    assert codes["u0"][:2] == ["because_rating"] * 2
    assert codes["u6"][:2] == ["because_like"] * 2
    assert set(codes["follower only"]) == {"popular"}
    assert set(codes["newcomer"]) <= {"because_purchase", "similar_users"}
    assert all((r["because_item_id"] is not None) == r["reason_code"].startswith("because_") for r in rows)
    assert all((r["user_id"], r["because_item_id"]) in seen for r in rows if r["because_item_id"] is not None)

    again = make_lake(run_id="run-3")
    without_run = [tuple(v for n, v in r.asDict().items() if n != "run_id") for r in rows]
    assert [tuple(v for n, v in r.asDict().items() if n != "run_id") for r in build(again)] == without_run

    find_job("recommend_users").run(again, again.settings.recommend, DAY)
    reported = again.read("gold.item_audiences", on=DAY).collect()
    assert not any((r["user_id"], r["item_id"]) in seen for r in reported)
    # Everybody but who has blocked its owner may be reported of what nobody has met.
    assert {r["user_id"] for r in reported if (r["item_id"], r["source"]) == ("new", "content")} == {f"u{n}" for n in range(1, 12)}
    assert {r["item_id"][0] for r in reported if r["user_id"] == "u1" and r["rank"] == 1 and r["source"] == "als"} <= {"1"}
    because = {(r["user_id"], r["because_item_id"]) for r in reported if r["reason_code"].startswith("because_")}
    assert because
    assert because <= seen
    assert {r["reason_code"] for r in reported if r["source"] == "content"} == {"new_item"}

    explored = make_lake(run_id="run-4")
    arms = spark.createDataFrame([("campaign=all", item, 1, 0.0, 0.0, 0.0, 0.0, 0.5) for item in ("0-0", "1-1")], ARMS)
    explored.replace("gold.bandit_arms", arms, on=DAY - timedelta(1))
    find_job("build_recommendations").run(explored, explored.settings.recommend.model_copy(update={"explore": 1}), DAY)
    after = explored.read_current("gold.recommendations").where(F.col("as_of") == F.lit(DAY)).collect()
    assert explored.run.tags["explored"] == "thompson of 2024-02-29"
    assert any(r["source"] == "explore" for r in after)
    # The last place but the cold-start slot is drawn for; the slot and all above stay as they were.
    assert {r["rank"] for r in after if r["user_id"] in {f"u{n}" for n in range(1, 12)} and r["source"] == "explore"} == {2}
    stays = [(r["user_id"], r["rank"], r["item_id"], r["propensity"]) for r in rows if r["rank"] == 1 or r["source"] == "content"]
    found = {(r["user_id"], r["rank"], r["item_id"], r["propensity"]) for r in after}
    assert set(stays) <= found
    assert len([r for r in after if r["source"] == "content"]) == 11
    assert {(r["reason_code"], r["variant"]) for r in after if r["source"] == "explore"} == {("exploration", "thompson")}


def test_the_newest_decision_of_moderators_counts(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    conf = make_lake().settings.recommend
    decided = [("a", 1, "removed"), ("b", 1, "removed"), ("b", 2, "allowed"), ("c", 1, "allowed"), ("c", 3, "removed")]
    rows = [{"item_id": item, "decided_at": datetime(2024, 2, day), "verdict": verdict} for item, day, verdict in decided]
    removed = removed_items(rows_of(spark, "silver.moderation", rows))
    assert {row["item_id"] for row in removed.collect()} == {"a", "c"}
    items = rows_of(spark, "silver.items", [{"item_id": item, "kind": "film"} for item in "abd"])
    met = spark.createDataFrame([("a",), ("c",), ("e",), ("e",)], "item_id string")

    def through(items: DataFrame | None, **rules: Any) -> list[str] | None:
        found = allowed_items(items, conf.model_copy(update=rules), DAY, met, removed)
        return None if found is None else sorted(row["item_id"] for row in found.collect())

    # An item that only events know is as good as another, unless a rule asks what silver.items says of it.
    assert through(items) == ["b", "d", "e"]
    assert through(None) == ["e"]
    assert through(items, item_filter="item_id != 'd'") == ["b"]


def test_rules_let_items_through(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    rows = [{"item_id": "old", "kind": "film", "created_at": datetime(2024, 1, 1)}, {"item_id": "timeless", "kind": "film"},
            {"item_id": "fresh", "kind": "film", "created_at": datetime(2024, 2, 28)},
            {"item_id": "post", "kind": "post", "created_at": datetime(2024, 2, 28)}]  # fmt: skip
    items = rows_of(spark, "silver.items", rows)
    conf = lake.settings.recommend

    def through(**rules: Any) -> set[str] | None:
        found = allowed_items(items, conf.model_copy(update=rules), DAY, items)
        return None if found is None else {row["item_id"] for row in found.collect()}

    assert through() is None
    assert through(max_age_days=7) == {"fresh", "post"}
    assert through(item_filter="kind = 'film'", max_age_days=7) == {"fresh"}
    assert through(item_filter="price_usd < 3") == set()
    with pytest.raises(UsageError, match="recommend.item_filter"):
        through(item_filter="kid = 'film'")
    with pytest.raises(UsageError, match="recommend.item_filter"):
        through(item_filter="kind = ")
    with pytest.raises(UsageError, match=r"silver\.items does not exist"):
        allowed_items(None, conf.model_copy(update={"max_age_days": 1}), DAY, items)


def test_strangers_get_what_those_they_follow_like_then_their_community_then_their_profile_then_everybody(
    spark: SparkSession, make_lake: Callable[..., Lake]
) -> None:
    lake = make_lake()
    at = datetime(2024, 2, 29)
    events = [(f"e{n}", user, item, "like", None, at, "test") for n, (user, item) in enumerate([
        ("a", "x"), ("a", "y"), ("b", "y"), ("c", "z"), ("d", "w"), ("d", "z"), ("e", "w"), ("f", "w"), ("s", "x"),
    ])]  # fmt: skip
    follows = [{"src_id": "s", "dst_id": "a", "weight": 1.0}, {"src_id": "s", "dst_id": "b", "weight": 1.0}]
    lake.append("silver.follows", rows_of(spark, "silver.follows", follows))
    members = spark.createDataFrame([("s", "g"), ("c", "g"), ("t", "g")], "node_id string, community_id string")
    marks = {"relation": F.lit("follows"), "method": F.lit("leiden")}
    lake.replace("gold.communities", members.withColumns(marks), on=DAY)
    frame = spark.createDataFrame(events, EVENTS)
    known = RecommendationContext(preferences(frame), frame, None, None)
    # p is of the profile of a, but has blocked who made y; of q nothing but an empty word is known.
    profiles = [{"user_id": "a", "country": "PT", "language": "pt"}, {"user_id": "p", "country": "pt ", "language": "PT"},
                {"user_id": "q", "country": " "}]  # fmt: skip
    lake.append("silver.profiles", rows_of(spark, "silver.profiles", profiles))
    items = spark.createDataFrame([("y", "maker"), ("x", None)], "item_id string, owner_id string")
    blocks = spark.createDataFrame([("p", "maker")], "user_id string, blocked_id string")
    known = replace(known, blocked=blocked_items(items, blocks))
    strangers = spark.createDataFrame([("s",), ("t",), ("v",), ("p",), ("q",)], "user_id string")
    groups = Groups(lake.read("silver.follows"), lake.read("gold.communities", on=DAY), lake.read("silver.profiles"))
    popular = PopularitySettings(3, 30.0, F.lit(datetime(2024, 3, 2)), None, 256)
    lists = cold_start_candidates(known, strangers, groups, popular)
    found: dict[str, list[tuple[str, str]]] = {}
    for row in backfill_lists(lists, 3).orderBy("user_id", "rank").collect():
        found.setdefault(row["user_id"], []).append((row["item_id"], row["source"]))
    # s has had x, so of a's and b's y; then z of the community; w has three likes of all. v is nobody's.
    assert found == {
        "s": [("y", "follows"), ("z", "community"), ("w", "popularity")],
        "t": [("x", "community"), ("z", "community"), ("w", "popularity")],
        "v": [("w", "popularity"), ("x", "popularity"), ("y", "popularity")],
        "p": [("x", "profile"), ("w", "popularity"), ("z", "popularity")],
        "q": [("w", "popularity"), ("x", "popularity"), ("y", "popularity")],
    }


def test_the_lists_of_some_users_leave_those_of_others_as_they_are(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    def lists(*places: tuple[str, int]) -> DataFrame:
        same = {"item_id": "x", "score": 1.0, "parts": {"als": 1.0}, "reason_code": "similar_users", "source": "als",
                "variant": "champion", "model_version": "m/1"}  # fmt: skip
        rows = [{"user_id": user, "rank": rank, **same} for user, rank in places]
        return rows_of(spark, "gold.recommendations", rows).drop("as_of")

    lake = make_lake()
    lake.replace("gold.recommendations", lists(("a", 1), ("a", 2), ("b", 1), ("c", 1)), on=DAY)
    asked = spark.createDataFrame([("a",), ("b",), ("new",)], "user_id string")
    before = lake.version("gold.recommendations")
    part = make_lake(run_id="part")
    upsert_user_lists(part, lists(("a", 1), ("new", 1)), asked, DAY)
    # One commit: a run that is killed leaves no list of two halves.
    assert (part.version("gold.recommendations"), part.run.rows_out) == (before + 1, {"gold.recommendations": 2})
    columns = ["user_id", "rank", "run_id"]
    found = lake.read_current("gold.recommendations").select(*columns).orderBy(*columns).collect()
    # a's list is shorter than before, b has none any more, c was not asked for.
    assert [tuple(row) for row in found] == [("a", 1, "part"), ("c", 1, "run-1"), ("new", 1, "part")]


def test_users_by_a_condition_or_a_file(spark: SparkSession, make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    lake = make_lake()
    users = [{"user_id": "a", "followers": 5}, {"user_id": "b", "followers": 1}]
    lake.append("silver.users", rows_of(spark, "silver.users", users))
    assert [row["user_id"] for row in asked_users(lake, "followers > 3", DAY).collect()] == ["a"]
    with pytest.raises(UsageError, match=r"recommend\.users: .*folowers.*expected a condition over silver\.users, or the path"):
        asked_users(lake, "folowers > 3", DAY)
    with pytest.raises(SkippedError, match=r"recommend\.users: followers > 9: no user"):
        asked_users(lake, "followers > 9", DAY)
    (tmp_path / "some.csv").write_text("userId\nb\nunknown\nb\n")
    assert {row["user_id"] for row in asked_users(lake, str(tmp_path / "some.csv"), DAY).collect()} == {"b", "unknown"}
    with pytest.raises(InputError, match="no such file"):
        asked_users(lake, str(tmp_path / "nobody.csv"), DAY)


def test_arms_to_explore_are_of_the_last_day_before_and_go_by_the_rules(
    spark: SparkSession, make_lake: Callable[..., Lake]
) -> None:
    lake = make_lake()
    for days, thompson in ((2, 0.25), (0, 0.75)):
        rows = [("men", item, 4, 1.0, 0.25, 0.5, 0.0, thompson) for item in ("x", "y")]
        rows += [("all", "z", 4, 1.0, 0.25, 1.0, 1.0, 1.0)]
        lake.replace("gold.bandit_arms", spark.createDataFrame(rows, ARMS), on=DAY - timedelta(days))
    nothing = spark.createDataFrame([], EVENTS)
    allowed = RecommendationContext(nothing, nothing, None, spark.createDataFrame([("x",)], "item_id string"))
    conf = lake.settings.recommend.model_copy(update={"explore": 1, "explore_context": "men"})
    assert exploration_of(lake, allowed, lake.settings.recommend, DAY) is None  # shipped: none
    found = exploration_of(lake, allowed, conf, DAY)
    assert found is not None
    assert [tuple(row) for row in found.arms.collect()] == [("x", 0.25)]
    assert lake.run.tags["explored"] == "thompson of 2024-02-28"
    assert exploration_of(lake, allowed, conf.model_copy(update={"explore_policy": "ucb1"}), DAY) is None
    assert lake.run.tags["explored"] == "nothing: no allowed arm of men before 2024-03-01"


def test_without_a_champion_the_job_is_skipped(spark: SparkSession, lake: Lake) -> None:
    with pytest.raises(SkippedError, match=r"silver\.interactions does not exist"):
        build(lake)
    fill(spark, lake)
    with pytest.raises(SkippedError, match="no champion of shoal_recommender"):
        build(lake)
