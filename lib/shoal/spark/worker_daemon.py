"""The process that Python workers are forked from: without the archives that Spark puts on their import path, with the libraries
that most tasks import.

At the start of every task a worker asks Python's import system to look at all folders again, which reads the list of
entries of every archive on the path anew: pyspark.zip, py4j's, and Spark's own core jar. That is some 60 ms a task, more
than most tasks of a small table take. pyspark is installed beside us, so the archives are not needed.

numpy, pandas, pyarrow and scipy are imported once, before the first fork: else each worker imports them again. At the end of
every task pyspark collects garbage, which looks at every object of these modules: they are frozen, so that the collector skips
them, and the memory that holds them stays shared between the workers.

Spark starts it by `spark.python.daemon.module` (conf/spark/local.conf); a cluster keeps its own.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from importlib.util import find_spec

# What the functions that run in workers import, and pyspark itself for Arrow.
PRELOADED = (
    "numpy", "pyarrow", "pandas", "scipy.sparse", "scipy.special", "scipy.linalg",
    "pyspark.worker", "pyspark.sql.pandas.serializers",
)  # fmt: skip


def drop_archives(path: list[str]) -> list[str]:
    """Return `path` without its .zip and .jar entries."""
    return [entry for entry in path if not entry.lower().endswith((".zip", ".jar"))]


def preload() -> None:
    """Import what workers need, and freeze it: the garbage collector skips it. A missing library is the task's to report."""
    for name in PRELOADED:
        if find_spec(name.partition(".")[0]) is not None:
            import_module(name)
    # Garbage of the imports would be frozen too.
    gc.collect()
    gc.freeze()


def main() -> None:
    """Fork workers until Spark closes standard input. Where pyspark comes from an archive only, the path stays as it is."""
    given = list(sys.path)
    sys.path[:] = drop_archives(given)
    if find_spec("pyspark") is None:
        sys.path[:] = given
    from pyspark import daemon

    preload()
    daemon.manager()


if __name__ == "__main__":
    main()
