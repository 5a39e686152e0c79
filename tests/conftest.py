"""One Spark session for all tests of a process (docs/adr/0090), and the folder of sample data."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.conf.sections import Settings
from shoal.errors import TransientError
from shoal.lake.lake import Lake, Run
from shoal.spark.session import session_settings, spark_session
from shoal.testing import kafka_broker as broker
from shoal.testing.kafka_security import Security

# Literal times in tests are UTC, as all times in the lake are, wherever the tests run.
os.environ["TZ"] = "UTC"
time.tzset()

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
JAVA = "spark.driver.extraJavaOptions"
# The second compiler had a third of the suite's processor time, for code that runs a few times in a test: four times Java's own
# thresholds of calls and loops.
LATE_COMPILER = (
    "-XX:Tier4InvocationThreshold=20000 -XX:Tier4MinInvocationThreshold=2400 "
    "-XX:Tier4CompileThreshold=60000 -XX:Tier4BackEdgeThreshold=160000"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: the process that ends first then waits for a file of seconds, not of minutes."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The suite's session: the product's own settings, fewer shuffle partitions for its tiny tables."""
    session = spark_session(
        "shoal-tests",
        overrides={
            "spark.master": "local[2]",
            # One session for some 1,300 tests: what each leaves behind (logs of tables, code, streams) outgrows the product's 2 GB.
            "spark.driver.memory": "5g",
            "spark.sql.shuffle.partitions": "2",
            # Room for the code that Spark generates for 1,400 tests; what finds none in Java's default of 240 MB is interpreted.
            JAVA: f"{session_settings('local')[JAVA]} -XX:ReservedCodeCacheSize=512m {LATE_COMPILER}",
            "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
        },
    )
    yield session
    session.stop()


@pytest.fixture(scope="module", autouse=True)
def forgotten_tables() -> Iterator[None]:
    """After each module Spark forgets the tables of lakes that nobody will open again, and what was cached of them."""
    yield
    session = SparkSession.getActiveSession()
    if session is not None:
        session.catalog.clearCache()
        session._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real sample data, which is not part of the repository."""
    return data_or_skip(DATA)


def data_or_skip(folder: Path) -> Path:
    """The folder where it exists; else the test fails in CI, and is skipped with the reason elsewhere."""
    if folder.is_dir():
        return folder
    missing = f"no sample data at {folder}; this test needs it"
    if os.environ.get("CI"):
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


def kafka_or_skip(folder: Path, security: Security | None = None) -> broker.Broker:
    """A running Kafka of one node in that folder; the test is skipped where its jars cannot be had, but never in CI."""
    try:
        return broker.start(folder, security)
    except TransientError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Kafka: {error}")


@pytest.fixture(scope="session")
def kafka_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[broker.Broker]:
    """The suite's Kafka; each test takes topics of its own."""
    folder = tmp_path_factory.mktemp("kafka")
    yield kafka_or_skip(folder)
    broker.stop(folder)


@pytest.fixture(scope="session")
def kafka(kafka_node: broker.Broker) -> str:
    """host:port of the suite's Kafka."""
    return kafka_node.bootstrap_servers


@pytest.fixture
def settings() -> Settings:
    """The local settings as they are shipped."""
    return load()


@pytest.fixture
def make_lake(spark: SparkSession, settings: Settings, tmp_path: Path) -> Callable[..., Lake]:
    """A function that opens the test's own lake: `make_lake()`, `make_lake(run_id="second")`."""

    def opened(run_id: str = "run-1", root: Path | None = None) -> Lake:
        return Lake(spark, root or tmp_path / "lake", settings, Run(run_id, "test"))

    return opened


@pytest.fixture
def lake(make_lake: Callable[..., Lake]) -> Lake:
    """An empty lake of the test's own."""
    return make_lake()
