"""The champion as jobs load it, and the way back to an earlier one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from shoal.errors import InputError, SkippedError
from shoal.lake.lake import Lake
from shoal.models.recommender import FOLDER, MODEL, load_champion
from shoal.models.registry import Model, register, set_champion
from shoal.recommend.candidates.als import AlsSettings, fit_als
from shoal.recommend.candidates.artifact import ListSettings, list_recommender, save_recommender
from shoal.recommend.candidates.trained import RecommenderSpec


def test_a_rollback_gives_the_earlier_lists(spark: SparkSession, lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(SkippedError, match="run train_recommender first"):
        load_champion(lake)
    rows = [(f"{g}{u}", f"{g}{i}", 1.0, None) for g in "ab" for u in range(4) for i in range(8) if (u + i) % 4]
    known = spark.createDataFrame(rows, "user_id string, item_id string, weight double, value double").persist()
    users = known.select("user_id").distinct().persist()

    def registered(rank: int) -> Model:
        als = AlsSettings("implicit", rank, 0.1, 1.0, 3, 1)
        folder = tmp_path / str(rank)
        save_recommender(folder / FOLDER, RecommenderSpec(als, (), "als"), fit_als(known, als), None)
        return register(lake, MODEL, folder, metric="ndcg@3", metrics={"ndcg@3": 0.1}, params={"rank": rank},
                        inputs={"user_id": "string"}, outputs={"score": "float"}, beats=lambda rival: True)  # fmt: skip

    def lists() -> list[tuple[object, ...]]:
        champion = load_champion(lake)
        listed = list_recommender(champion.recommender, champion.als, known, users, None, ListSettings(3, 16))
        return [tuple(row) for row in listed.orderBy("user_id", "rank").collect()]

    assert registered(2).label == f"{MODEL}/1"
    first = lists()
    assert registered(1).is_champion
    second = lists()
    assert second != first
    set_champion(lake, MODEL, "1")
    assert lists() == first
    (load_champion(lake).model.folder / FOLDER / "recommender.json").unlink()
    with pytest.raises(InputError, match="run train_recommender again"):
        load_champion(lake)
