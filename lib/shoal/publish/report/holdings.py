"""The part about the tables of the lake: what there is, how much, and who wrote it last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from shoal.publish.report.blocks import Cell, Part, Table
from shoal.publish.report.stages import Writer
from shoal.publish.report.wording import clock, count, plural

_LAYERS = {
    "bronze": "raw records, with the file and line they came from",
    "silver": "what is true: clean rows, one a fact",
    "features": "numbers about users, items and the network on a day",
    "gold": "what people query",
    "ops": "what happened: runs, metrics, drift, rejects",
}


@dataclass(frozen=True)
class Holding:
    """A table: rows of all days, its Delta version, its last day up to the report's (None: it has no days)."""

    name: str
    rows: int
    version: int
    grain: str
    latest_day: date | None = None
    has_days: bool = False


def holdings_part(tables: Sequence[Holding], absent: Sequence[str], writers: Mapping[str, Writer], as_of: date) -> Part:
    """The tables, in the order given; `absent`: those that have a contract and were not made. Nothing is computed here."""
    rows = sum(t.rows for t in tables)
    shown = [_row(t, writers.get(t.name), as_of) for t in tables]
    layers = list(dict.fromkeys(t.name.split(".")[0] for t in tables))
    note = "; ".join(f"{layer}: {_LAYERS[layer]}" for layer in layers if layer in _LAYERS) + "."
    block = Table("Tables by layer", ["Table", "Rows", "Last day", "Version", "Last written by"], shown, note)
    lead = f"{plural(len(tables), 'table')} hold {plural(rows, 'row')}, all days together."
    if absent:
        lead += f" Not made yet: {', '.join(absent)}."
    return Part("lake", "The lake at a glance", lead, [block])


def _row(table: Holding, writer: Writer | None, as_of: date) -> list[Cell]:
    latest = "" if not table.has_days else table.latest_day.isoformat() if table.latest_day else "none"
    is_old = table.has_days and table.latest_day != as_of
    return [
        Cell(table.name, table.grain, "code"),
        Cell(count(table.rows), kind="number"),
        Cell(latest, "not of this day" if is_old else ""),
        Cell(count(table.version), kind="number"),
        Cell(writer.job, f"{clock(writer.ended_at)} UTC · {writer.run_id}") if writer else Cell("–"),
    ]
