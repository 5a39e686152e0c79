"""The export contract, publish.yaml: which rows of which tables are published, by which key, in which form. No Spark."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shoal.errors import UsageError

FILE = Path(__file__).resolve().parent / "publish.yaml"
# Bytes of a key; LMDB takes 511. Longer ones are known by their hash.
MAX_KEY_BYTES = 480
# What a hashed key begins with; no key of a table does, because control characters in ids are not published under it.
HASHED = "\x01"


# The stores that answer by key.
KEY_AND_VALUE = ("lmdb", "redis", "postgres")


class Export(BaseModel):
    """One export; publish.yaml says what each field means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    key: str
    form: Literal["row", "list"]
    columns: dict[str, str] = Field(min_length=1)
    personal: bool
    newest: bool = False
    where: str | None = None
    rank: str | None = None
    order_by: list[str] = []
    limit: int | None = Field(default=None, ge=1)
    derived: str | None = None
    reads: list[str] = []
    targets: list[str] = list(KEY_AND_VALUE)

    @property
    def tables(self) -> list[str]:
        """The tables that the export is made of; the first one is necessary."""
        return self.reads or [self.table]

    @property
    def is_plain(self) -> bool:
        """Whether a list holds values instead of objects."""
        return list(self.columns) == ["value"]

    def version(self) -> str:
        """12 hex digits that change with the export's definition."""
        return hashlib.sha256(self.model_dump_json(exclude={"targets"}).encode()).hexdigest()[:12]


@cache
def exports() -> dict[str, Export]:
    """Every export by its name, in the order of publish.yaml. Raises UsageError, one line, for a file that is no contract."""
    try:
        document = yaml.safe_load(FILE.read_text(encoding="utf-8"))
        return {name: Export.model_validate(each) for name, each in document["exports"].items()}
    except (ValidationError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise UsageError(f"{FILE.name}: {' '.join(str(error).split())[:400]}") from None


def store_key(key: str) -> bytes | None:
    """Return the bytes by which a store knows a key: those of a long one are its hash. None for a key that no store can have:
    empty, or with a NUL or half a surrogate pair."""
    if not key or "\0" in key:
        return None
    try:
        plain = key.encode()
    except UnicodeEncodeError:
        return None
    return plain if len(plain) <= MAX_KEY_BYTES else (HASHED + hashlib.sha256(plain).hexdigest()).encode()
