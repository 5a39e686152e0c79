"""Communities from run to run, worked by hand."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from shoal.mine.graph.lineage import carry_ids, changes


def frame(spark: SparkSession, groups: dict[str, str]) -> DataFrame:
    """A community a name, a member a letter."""
    rows = [(node, name) for name, nodes in groups.items() for node in nodes]
    return spark.createDataFrame(rows, "node_id string, community_id string").coalesce(1)


def groups(members: DataFrame) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for row in members.collect():
        found.setdefault(row["community_id"], []).append(row["node_id"])
    return {name: "".join(sorted(nodes)) for name, nodes in found.items()}


def test_ids_stay_and_what_happened_is_said(spark: SparkSession) -> None:
    before = frame(spark, {"a": "abcdef", "g": "ghij", "k": "klm", "n": "nopq", "r": "rs"})
    # a splits in two, g and k merge, n stays but for q, r dies, x is born.
    after = frame(spark, {"a": "abc", "d": "def", "g": "ghijklm", "n": "nop", "x": "xyz"})
    carried = carry_ids(after, before, "2024-03-02")
    assert groups(carried) == {"a": "abc", "d": "def", "g": "ghijklm", "n": "nop", "x": "xyz"}
    rows = changes(carried, before).collect()
    assert {(r["change"], r["community_id"]): (r["others"], r["nodes"], r["nodes_before"]) for r in rows} == {
        ("split", "a"): (["a", "d"], 6, 6), ("merge", "g"): (["g", "k"], 7, 7), ("birth", "x"): ([], 3, 0),
        ("death", "r"): ([], 0, 2),
    }  # fmt: skip


def test_an_id_follows_its_members_and_is_never_given_twice(spark: SparkSession) -> None:
    before = frame(spark, {"b": "bcde"})
    # b itself went away, to a community that would be called after it.
    after = frame(spark, {"c": "cde", "b": "bx"})
    found = groups(carry_ids(after, before, "2024-03-02"))
    assert found["b"] == "cde" and len(found) == 2
    other = next(name for name in found if name != "b")
    assert found[other] == "bx" and other.startswith("c") and len(other) > 8
    assert groups(carry_ids(frame(spark, {"b": "bcde"}), before, "x")) == {"b": "bcde"}
