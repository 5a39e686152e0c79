"""Every model by its name, with the settings as they are shipped."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F
from shoal.cli.evaluate import protocol_of
from shoal.conf.loading import load
from shoal.errors import InputError
from shoal.recommend.candidates.als import with_numbers
from shoal.recommend.candidates.search import SearchSpace
from shoal.recommend.evaluation.evaluate import MODELS, evaluate_models

from tests.recommend.candidates.test_blend import world


@pytest.mark.slow
def test_every_model_lists_for_every_user_and_beats_chance(spark: SparkSession) -> None:
    settings = load()
    conf = settings.evaluate_recommender
    quick = conf.model_copy(update={"ranks": [8], "reg_params": [0.1], "alphas": [1.0], "max_iter": 2, "search_iter": 2,
                                    "ease_l2": [5.0]})  # fmt: skip
    blend = settings.blend.model_copy(update={"window_l2": 5.0})
    content = settings.content.model_copy(update={"l2": 1.0})
    space = SearchSpace("implicit", quick.ranks, quick.reg_params, quick.alphas, 2, 2, quick.seed)
    events = world(spark).withColumn("is_test", F.xxhash64("user_id", "item_id") % 4 == 0)
    train = with_numbers(events.where("not is_test").drop("is_test")).persist()
    test = events.where("is_test").select("user_id", "item_id")
    # An item's shelf is what it is about.
    items = events.select("item_id").distinct().withColumn("categories", F.array(F.substring("item_id", 1, 2)))
    # Users follow the first of those whose item of the largest id is the same.
    last = train.groupBy("user_id").agg(F.max("item_id").alias("item_id"))
    leader = F.first("user_id").over(Window.partitionBy("item_id").orderBy("user_id")).alias("dst_id")
    follows = last.select(F.col("user_id").alias("src_id"), leader, F.lit(None).cast("timestamp").alias("followed_at"))
    protocol = protocol_of(
        settings.model_copy(update={"evaluate_recommender": quick, "blend": blend, "content": content}), space, 5, items,
        follows,
    )  # fmt: skip
    found = evaluate_models(train, test, list(MODELS), protocol)
    assert list(found.metrics) == list(MODELS)
    users = test.select("user_id").distinct().count()
    scores = {name: slices["all"]["ndcg@5"] or 0.0 for name, slices in found.metrics.items()}
    assert {slices["all"]["users"] for slices in found.metrics.values()} == {users}
    # Two shelves of ten, seven met of each: whoever finds the shelves has six places, of which chance fills few.
    for name in ("ease", "content", "item_neighbours", "user_neighbours", "graph", "pagerank", "blend"):
        assert scores[name] > 2 * scores["random"], (name, scores)
    # Told what items are about: a list from two shelves is less varied than one by chance from six.
    varied = {name: slices["all"]["intra_list_diversity@5"] or 0.0 for name, slices in found.metrics.items()}
    assert 0 < varied["content"] < varied["random"] < 1
    assert set(found.settings) == {"als", "ease", "pagerank", "blend"}
    # The blend has candidates of the people followed.
    assert found.settings["blend"]["random_holdout"]["candidate_recall"]["followed"] > 0
    found.lists.unpersist()
    train.unpersist()


def test_a_catalogue_above_a_models_bound_is_an_error_or_leaves_the_model_out(spark: SparkSession) -> None:
    settings = load()
    conf = settings.evaluate_recommender.model_copy(update={"ease_l2": [5.0]})
    space = SearchSpace("implicit", [4], [0.1], [1.0], 1, 1, conf.seed)
    small = settings.blend.model_copy(update={"max_items": 2})
    protocol = protocol_of(settings.model_copy(update={"evaluate_recommender": conf, "blend": small}), space, 2)
    rows = [(user, item, 1.0, None, None) for user, items in {"a": "xy", "b": "yz", "c": "x", "d": "yz"}.items() for item in items]
    columns = "user_id string, item_id string, weight double, value double, occurred_at timestamp"
    train = with_numbers(spark.createDataFrame(rows, columns))
    test = spark.createDataFrame([("c", "y")], "user_id string, item_id string")
    with pytest.raises(InputError, match="max_items=2"):
        evaluate_models(train, test, ["ease", "popularity"], protocol)
    found = evaluate_models(train, test, ["ease", "popularity"], protocol, leave_out=True)
    assert (list(found.metrics), list(found.left_out)) == (["popularity"], ["ease"])
    # c met x; y is what most have.
    assert found.metrics["popularity"]["all"]["ndcg@2"] == 1.0
    found.lists.unpersist()
