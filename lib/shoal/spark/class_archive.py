"""Java's archive of the classes that a session loads, made once at set-up: `python -m shoal.spark.class_archive`.

From an archive a session's classes are mapped; without one each is found in its jar, read and checked (Java's documentation, "Class
Data Sharing", dynamic archives). It holds what an ingest of a small file used. Java itself checks that an archive is of this very
Java and these very jars, and goes on without one that is not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from shoal.errors import ShoalError
from shoal.spark.jars import spark_jars_folder
from shoal.spark.java import java, java_home, java_version

# Java 11 has archives of lists that are made by hand; Java 8 refuses the option.
FIRST_JAVA = 13
# Set for the session whose Java is to write an archive there when it ends.
ARCHIVE_AT_EXIT = "SHOAL_CLASS_ARCHIVE_AT_EXIT"
# A Java that cannot use an archive would say so at each start, one that makes it name each class that it leaves out.
_QUIET = "-Xlog:cds=off -Xlog:cds+dynamic=off"


def archive_path() -> Path:
    """Where the archive is: beside the folder of the jars whose classes it holds."""
    return spark_jars_folder().parent / "shoal-classes.jsa"


def archive_options() -> str:
    """The options of a session's Java that use the archive; empty without an archive, or where Java is too old for one."""
    written = os.environ.get(ARCHIVE_AT_EXIT)
    if written:
        return f'"-XX:ArchiveClassesAtExit={written}" {_QUIET}'
    if not archive_path().is_file() or not _can_archive():
        return ""
    return f'"-XX:SharedArchiveFile={archive_path()}" {_QUIET}'


def make_archive() -> Path:
    """Make the archive anew, from a session that ingests a small file, and return its path.

    Raises ShoalError where Java is too old, cannot write its own archive, which this one rests on, or writes none. Cost: a
    session of half a minute; 170 MB of disk.
    """
    if not _can_archive():
        raise ShoalError(f"Java {java_version(java())} keeps no archive of a session's classes, Java {FIRST_JAVA} is the first")
    _make_javas_own()
    path = archive_path()
    part = path.with_suffix(".part")
    path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        _run_session(Path(folder), part)
    if not part.is_file():
        raise ShoalError(f"Java wrote no {part}")
    part.replace(path)
    return path


def _run_session(folder: Path, archive: Path) -> None:
    """Ingest a small file in a process whose Java writes the archive when it ends, and wait for that.

    A process of its own: the command line stands above this room. Raises ShoalError where it fails.
    """
    source = folder / "ratings.csv"
    source.write_text("user_id,item_id,rating,timestamp\nu1,i1,4.0,1700000000\nu2,i1,3.5,1700000100\n")
    command = [
        sys.executable,
        "-m",
        "shoal",
        "ingest",
        "--source",
        "ratings",
        "--input",
        str(source),
        "--lake",
        str(folder / "lake"),
    ]
    # Java inherits the pipes: they close when its archive is written, after Python's end.
    environment = os.environ | {ARCHIVE_AT_EXIT: str(archive)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=600)
    if done.returncode:
        raise ShoalError(f"ingest of a small file: {done.stderr[-300:].strip()}")


def _make_javas_own() -> None:
    """The archive of Java's own classes, where its wheel came without."""
    if any((Path(java_home()) / "lib" / "server").glob("*.jsa")):
        return
    done = subprocess.run([java(), "-Xshare:dump"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ShoalError(f"java -Xshare:dump: {(done.stderr or done.stdout)[-300:].strip()}")


def _can_archive() -> bool:
    return (java_version(java()) or 0) >= FIRST_JAVA


def main() -> int:
    """Make the archive and say so; where there can be none, say why. 0 in both cases: it makes sessions start sooner, no more."""
    try:
        message = f"{make_archive()}: the classes of a session"
    except (ShoalError, OSError) as error:
        message = f"no archive of classes, sessions start some seconds later: {error}"
    sys.stderr.write(f"shoal: {message}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
