"""One middling world for all tests that measure what was planted, made once."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from shoal.simulate import tables
from shoal.simulate.world import WorldConf


@dataclass(frozen=True)
class World:
    """A world's tables in pandas; `events` has the likes too."""

    conf: WorldConf
    users: pd.DataFrame
    items: pd.DataFrame
    texts: pd.DataFrame
    follows: pd.DataFrame
    likes: pd.DataFrame
    events: pd.DataFrame
    assignments: pd.DataFrame


@pytest.fixture(scope="session")
def world(spark: SparkSession) -> World:
    """3,000 users, 1,500 items, 120,000 events: large enough for each planted number to show through the noise."""
    conf = WorldConf(users=3_000, items=1_500, events=120_000, texts=5_000, transmission_rate=0.05, seed=7)
    users, likes = tables.users(spark, conf), tables.likes(spark, conf).cache()
    made = World(
        conf=conf,
        users=users.toPandas(),
        items=tables.items_with_truth(spark, conf).toPandas(),
        texts=tables.texts_with_truth(spark, conf).toPandas(),
        follows=tables.follows(spark, conf).toPandas(),
        likes=likes.toPandas(),
        events=tables.other_events(spark, conf).unionByName(tables.as_events(likes)).toPandas(),
        assignments=tables.assignments(conf, users).toPandas(),
    )
    likes.unpersist()
    return made
