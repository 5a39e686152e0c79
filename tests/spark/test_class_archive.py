"""The archive of classes that set-up makes, and sessions that start from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from shoal.errors import ShoalError
from shoal.spark import class_archive
from shoal.spark.class_archive import FIRST_JAVA, archive_options, archive_path, make_archive

SESSION = (
    "import sys\nfrom shoal.spark.session import session_settings, spark_session\n"
    "key = 'spark.driver.extraJavaOptions'\n"
    "more = f' -Xlog:class+load=info:file={sys.argv[1]}'\n"
    "spark = spark_session('classes', overrides={'spark.driver.memory': '1g', key: session_settings('local')[key] + more})\n"
    "print(spark.range(3).count())\n"
)


def test_a_session_takes_its_classes_from_the_archive(tmp_path: Path) -> None:
    if not archive_options():
        pytest.skip(f"no archive: set-up makes one on Java {FIRST_JAVA} and later")
    log = tmp_path / "classes.log"
    done = subprocess.run([sys.executable, "-c", SESSION, str(log)], capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"
    lines = [line.split("] ")[-1].split(" source: ") for line in log.read_text().splitlines() if " source: " in line]
    sources = {name: source.strip() for name, source in lines}
    # "top": of a session's archive, not of Java's own below it.
    assert sources["org.apache.spark.sql.SparkSession"] == "shared objects file (top)"
    assert sources["java.lang.Object"] == "shared objects file"


def test_no_option_without_an_archive_or_for_an_old_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    archive = tmp_path / "shoal-classes.jsa"
    monkeypatch.setattr(class_archive, "archive_path", lambda: archive)
    monkeypatch.setattr(class_archive, "java_version", lambda java: 17)
    assert archive_options() == ""
    archive.touch()
    assert archive_options() == f'"-XX:SharedArchiveFile={archive}" -Xlog:cds=off -Xlog:cds+dynamic=off'
    monkeypatch.setattr(class_archive, "java_version", lambda java: 11)
    assert archive_options() == ""
    with pytest.raises(ShoalError, match="Java 11 keeps no archive of a session's classes, Java 13 is the first"):
        make_archive()


def test_a_session_starts_with_an_archive_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of another Java or of jars that are gone: nothing is said, nothing fails."""
    broken = tmp_path / "shoal-classes.jsa"
    broken.write_bytes(b"no archive")
    code = (
        "import sys\nfrom pathlib import Path\nfrom shoal.spark import class_archive\n"
        "class_archive.archive_path = lambda: Path(sys.argv[1])\n"
        "from shoal.spark.session import spark_session\n"
        "print(spark_session('broken', overrides={'spark.driver.memory': '1g'}).range(3).count())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(broken)], capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"
    assert "jsa" not in done.stderr and "hare" not in done.stderr
    assert archive_path() != broken
