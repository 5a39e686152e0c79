"""Locks between processes: exclusive, freed by their holder's death, with what is written in their file kept."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from shoal.errors import TransientError
from shoal.lake.locks import FOREVER, file_lock, lock_path

HOLDER = (
    "import sys\nfrom pathlib import Path\nfrom shoal.lake.locks import file_lock\n"
    "with file_lock(Path(sys.argv[1]), 0, 'held'):\n    print('held', flush=True)\n    sys.stdin.read()\n"
)


def test_a_second_holder_is_refused_and_the_files_text_stays(tmp_path: Path) -> None:
    path = lock_path(tmp_path, "a.table")
    assert path == tmp_path / ".locks" / "a.table.lock"
    with file_lock(path, 0, "unused") as held:
        held.write_text("a note")
        began = time.monotonic()
        with pytest.raises(TransientError, match="^in use$"), file_lock(path, 0.3, "in use"):
            pass
        assert time.monotonic() - began >= 0.3
    with file_lock(path, FOREVER, "unused"):
        assert path.read_text() == "a note"


def test_a_killed_holder_leaves_the_lock_free(tmp_path: Path) -> None:
    path = lock_path(tmp_path, "job")
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(TransientError, match="in use"), file_lock(path, 0, "in use"):
            pass
        other.kill()
        other.wait()
    with file_lock(path, 0, "in use"):
        pass
