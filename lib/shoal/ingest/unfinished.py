"""The files that a run has begun and not finished: their ids, noted before bronze is written and struck out after ops.ingest_files.

A local lake keeps them in <lake>/.unfinished, one text file a run, an id a line: whether rows of a file can be in bronze is known
without a look at bronze. With a catalog bronze itself is asked (`batches.known_files`).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from shoal.lake.lake import Lake


def unfinished_ids(lake: Lake) -> set[str] | None:
    """The ids of files that runs have begun and not finished; None with a catalog, where that is not noted."""
    if not lake.is_local:
        return None
    return {each for note in _notes(lake) for each in note.read_text(encoding="ascii").split()}


def unfinished_runs(lake: Lake) -> set[str] | None:
    """The other runs that have files noted: their rows of silver are counted by none yet; None with a catalog."""
    return None if not lake.is_local else {note.stem for note in _notes(lake)} - {lake.run.run_id}


def note_unfinished(lake: Lake, ids: Collection[str]) -> None:
    """Note, before anything of them is written, that this run begins the files."""
    if not lake.is_local or not ids:
        return
    folder = _folder(lake)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{lake.run.run_id}.ids", ids)


def strike_finished(lake: Lake, ids: Collection[str]) -> None:
    """Strike out the files, which are in ops.ingest_files now, from the notes of all runs."""
    if not lake.is_local:
        return
    finished = set(ids)
    for note in _notes(lake):
        noted = set(note.read_text(encoding="ascii").split())
        if noted <= finished:
            note.unlink(missing_ok=True)
        elif noted & finished:
            _write(note, noted - finished)


def _folder(lake: Lake) -> Path:
    return lake.root / ".unfinished"


def _notes(lake: Lake) -> list[Path]:
    return sorted(_folder(lake).glob("*.ids"))


def _write(path: Path, ids: Collection[str]) -> None:
    """The ids as the whole file, on the disk before anything that follows."""
    whole = path.with_suffix(".new")
    with whole.open("w", encoding="ascii") as lines:
        lines.write("\n".join(sorted(ids)) + "\n")
        lines.flush()
        os.fsync(lines.fileno())
    whole.rename(path)
