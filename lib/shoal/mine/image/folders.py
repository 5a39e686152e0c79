"""Pictures in folders: their files, and their labels where a folder is a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shoal.errors import InputError

ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp")


def list_pictures(folder: str | Path, max_files: int) -> list[str]:
    """The files with a picture's ending in a folder and all below it, in the order of their names; each as `folder` joined with its
    name.

    Hidden files and folders do not count. A link that leads nowhere is listed: its status will be `missing`. A file alone is
    itself. Raises InputError for no such folder, no picture, and more than `max_files`, which the driver holds.
    """
    root = Path(folder)
    if root.is_file():
        return [str(root)]
    if not root.is_dir():
        raise InputError(f"{folder}: no such folder; expected a folder of pictures")
    found = []
    for path in root.rglob("*"):
        if path.suffix.lower() not in ENDINGS or any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        if path.is_file() or path.is_symlink():
            found.append(str(path))
            if len(found) > max_files:
                raise InputError(f"{folder}: more than {max_files:,} pictures; raise it with --set ingest.max_files=N")
    if not found:
        raise InputError(f"{folder}: no picture there; expected files that end in {', '.join(ENDINGS)}")
    return sorted(found)


def label_by_folder(folder: str | Path, paths: Sequence[str]) -> list[tuple[str, str]]:
    """(path, name of the folder below `folder` that it lies in). Raises InputError for pictures that lie in `folder` itself, and
    for fewer than two labels."""
    placed = [(path, Path(path).relative_to(folder).parts) for path in paths]
    loose = [path for path, parts in placed if len(parts) < 2]
    if loose:
        raise InputError(f"{loose[0]}: lies in no class; expected a folder a class in {folder}")
    labels = sorted({parts[0] for _, parts in placed})
    if len(labels) < 2:
        raise InputError(f"{folder}: one class only, {labels[0]!r}; expected two or more folders of pictures")
    return [(path, parts[0]) for path, parts in placed]
