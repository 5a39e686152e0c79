"""The engines under test, and the graph settings as shipped."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.conf.sections import GraphConf
from shoal.errors import UsageError
from shoal.mine.graph.graphframes_engine import check_classes


@pytest.fixture(scope="session")
def conf() -> GraphConf:
    return load().graph


@pytest.fixture(params=["local", "spark", "graphframes"])
def engine(request: pytest.FixtureRequest, spark: SparkSession) -> str:
    """Each engine in turn; GraphFrames only where its JVM classes are in the session."""
    name = str(request.param)
    if name == "graphframes":
        try:
            check_classes(spark)
        except UsageError as error:
            pytest.skip(str(error))
    return name
