"""Segment numbers that stay, and who moved."""

from __future__ import annotations

from pyspark.sql import SparkSession
from shoal.mine.graph.lineage import inherited_ids
from shoal.mine.people.segment_changes import as_members, carry_segment_ids, segment_changes

FIELDS = "user_id string, segment_id int, segment_name string"


def test_a_segment_keeps_the_number_of_most_of_its_users_and_movers_are_named(spark: SparkSession) -> None:
    before = spark.createDataFrame(
        [*((u, 0, "low") for u in "abcde"), *((u, 3, "high") for u in "fgh"), ("i", 4, "odd"), ("gone", 4, "odd")], FIELDS
    )
    # Today's largest is yesterday's 3, grown by d and e; 0 lost them; x and y are new.
    found = spark.createDataFrame(
        [*((u, 0, "busy") for u in "fghde"), *((u, 1, "calm") for u in "abc"), *((u, 2, "new") for u in "xy"), ("i", 3, "odd")],
        FIELDS,
    )
    carried = carry_segment_ids(found, inherited_ids(as_members(found), as_members(before)), highest=7)
    assert carried.schema == found.schema
    ids = {row["user_id"]: row["segment_id"] for row in carried.collect()}
    assert ids == dict.fromkeys("fghde", 3) | dict.fromkeys("abc", 0) | dict.fromkeys("xy", 8) | {"i": 4}
    moved = sorted(tuple(row) for row in segment_changes(carried, before).collect())
    assert moved == [("d", 3, "busy", 0, "low"), ("e", 3, "busy", 0, "low")]
