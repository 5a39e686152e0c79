"""Rows as text: a table for people, CSV and JSON lines for programs; a time is ISO 8601 in UTC with Z."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql.types import DataType
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shoal.lake.json_values import distinct_names, json_line, json_value


def as_text(rows: DataFrame, output: str, limit: int | None) -> Iterator[str]:
    """The rows as text, piece by piece. A table holds `limit` rows (100) in memory; csv and json a partition at a time."""
    types = [field.dataType for field in rows.schema.fields]
    if output == "table":
        shown = limit or 100
        found = rows.limit(shown + 1).collect()
        yield render(rows.columns, [list(map(table_cell, row, types)) for row in found[:shown]])
        if len(found) > shown:
            yield f"(the first {shown} rows; --limit shows more)\n"
        return
    limited = rows.limit(limit) if limit else rows
    names = distinct_names(rows.columns)
    if output == "csv":
        yield csv_line(rows.columns)
    for row in limited.toLocalIterator():
        if output == "json":
            values = {name: json_value(value, kind) for name, value, kind in zip(names, row, types, strict=True)}
            yield json_line(values)
        else:
            yield csv_line(map(csv_cell, row, types))


def csv_cell(value: Any, kind: DataType | None = None) -> str:
    """A value in a CSV file: empty for null, every digit of a number, JSON for what is nested."""
    plain = json_value(value, kind)
    if plain is None:
        return ""
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, allow_nan=False)


def table_cell(value: Any, kind: DataType | None = None) -> str:
    """A value for people: like `csv_cell`, with six digits of a fraction."""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    return csv_cell(value, kind)


def csv_line(values: Iterable[str]) -> str:
    """A line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def render(columns: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """Columns and cells as a table: as wide as the terminal, or as wide as needed without a terminal.

    Cells are shown as they are, no markup; a control character (a tab, a line break) as its escape, so that a row is a line.
    """
    terminal = sys.stdout.isatty()
    table = Table(box=None, pad_edge=False, header_style="bold" if terminal else "")
    for name in columns:
        table.add_column(Text(visible(name)), overflow="fold", no_wrap=not terminal)
    for row in cells:
        table.add_row(*[Text(visible(cell)) for cell in row])
    width = os.get_terminal_size().columns if terminal else 1_000_000
    text = io.StringIO()
    Console(file=text, width=width, force_terminal=terminal, color_system="auto" if terminal else None).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().split("\n")[:-1]) + "\n"


def visible(text: str) -> str:
    """The text with control characters as their escapes: \\t, \\n, \\x1b."""
    return "".join(c if c.isprintable() or c == " " else ascii(c)[1:-1] if _is_control(c) else c for c in text)


def _is_control(character: str) -> bool:
    return ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 or character in "\u2028\u2029"
