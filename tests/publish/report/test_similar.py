"""The tables about items that are like each other."""

from __future__ import annotations

from pyspark.sql import SparkSession
from shoal.publish.report.similar import kinds_of_likeness, likeness_blocks, nearest_items

SIMILAR = "item_id string, kind string, rank int, similar_item_id string, similarity double"


def test_likeness_by_kind_and_of_what_most_people_met(spark: SparkSession) -> None:
    similar = spark.createDataFrame(
        [("a", "cosine", 1, "b", 0.5), ("a", "cosine", 2, "c", 0.4), ("b", "cosine", 1, "c", 0.3), ("c", "cosine", 1, "e", 0.1),
         ("a", "text", 1, "c", 0.9), ("d", "text", 1, "a", 0.7)],
        SIMILAR,
    )  # fmt: skip
    # b and c share no category; e has none, which says nothing; a and b share one.
    titles = spark.createDataFrame(
        [("a", "Alien", ["horror", "space"]), ("b", "Brazil", ["space"]), ("c", "Casablanca", ["love"]), ("d", None, ["horror"]),
         ("e", "Enigma", [])],
        "item_id string, title string, categories array<string>",
    )  # fmt: skip
    kinds = [tuple(row.values()) for row in kinds_of_likeness(similar, titles)]
    assert kinds == [("cosine", 3, 0.3, 0.5), ("text", 2, 0.8, 0.5)]
    items = spark.createDataFrame([("a", 3), ("d", 9), ("x", 99)], "item_id string, distinct_users long")
    found = [(r["item_id"], r["title"], r["kind"], r["similar_title"]) for r in nearest_items(similar, items, titles)]
    assert found == [("d", None, "text", "Alien"), ("a", "Alien", "cosine", "Brazil"), ("a", "Alien", "text", "Casablanca")]
    overview, nearest = likeness_blocks(similar, items, titles)
    kinds_shown, items_shown = ([[cell.text for cell in row] for row in table.rows] for table in (overview, nearest))
    assert kinds_shown == [["cosine", "3", "0.3", "50.0%"], ["text", "2", "0.8", "50.0%"]]
    assert items_shown == [["d", "–", "Alien"], ["Alien", "Brazil", "Casablanca"]]


def test_without_a_catalogue_ids_stand_for_titles_and_without_rows_there_is_no_table(spark: SparkSession) -> None:
    similar = spark.createDataFrame([("a", "price", 1, "b", 1.0)], SIMILAR)
    (overview,) = likeness_blocks(similar, None, None)
    assert [cell.text for cell in overview.rows[0]] == ["price", "1", "1", "–"]
    assert likeness_blocks(similar.where("rank > 1"), None, None) == []
