"""The process that Python workers are forked from, without the archives that Spark puts on their import path.

At the start of every task a worker asks Python's import system to look at all folders again, which reads the list of
entries of every archive on the path anew: pyspark.zip, py4j's, and Spark's own core jar. That is some 60 ms a task, more
than most tasks of a small table take. pyspark is installed beside us, so the archives are not needed.

Spark starts it by `spark.python.daemon.module` (conf/spark/local.conf); a cluster keeps its own.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec


def drop_archives(path: list[str]) -> list[str]:
    """`path` without its .zip and .jar entries."""
    return [entry for entry in path if not entry.lower().endswith((".zip", ".jar"))]


def main() -> None:
    """Fork workers until Spark closes standard input. Where pyspark comes from an archive only, the path stays as it is."""
    given = list(sys.path)
    sys.path[:] = drop_archives(given)
    if find_spec("pyspark") is None:
        sys.path[:] = given
    from pyspark import daemon

    daemon.manager()


if __name__ == "__main__":
    main()
