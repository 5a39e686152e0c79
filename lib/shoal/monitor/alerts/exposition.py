"""Prometheus' text format, version 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shoal.errors import UsageError

_METRIC, _LABEL = re.compile(r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"), re.compile(r"^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$")


@dataclass(frozen=True)
class Gauge:
    """A family of gauges: labels, as name and value pairs, to value."""

    name: str
    help: str
    values: Mapping[tuple[tuple[str, str], ...], float] = field(default_factory=dict)


def exposition(gauges: Iterable[Gauge]) -> str:
    """The gauges as text: help and type of each family, then a line a value, sorted by labels. A family without values is left out.

    Raises ValueError for a name that Prometheus does not take, and for a family that is there twice.
    """
    lines: list[str] = []
    seen: set[str] = set()
    for gauge in gauges:
        if not _METRIC.match(gauge.name) or gauge.name in seen:
            raise ValueError(f"{gauge.name}: no name of a metric, or there twice")
        seen.add(gauge.name)
        if not gauge.values:
            continue
        lines += [f"# HELP {gauge.name} {_escaped(gauge.help)}", f"# TYPE {gauge.name} gauge"]
        for labels, value in sorted(gauge.values.items()):
            if wrong := [name for name, _ in labels if not _LABEL.match(name)]:
                raise ValueError(f"{wrong[0]}: no name of a label")
            shown = ",".join(f'{name}="{_escaped(text, quote=True)}"' for name, text in labels)
            lines.append(f"{gauge.name}{{{shown}}} {_number(value)}" if shown else f"{gauge.name} {_number(value)}")
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str, quote: bool = False) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quote else escaped


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def write_whole(path: Path, text: str) -> None:
    """Put the text in the place of the file in one step: a reader sees the old one or the new one. Raises UsageError for a folder
    that does not exist or cannot be written."""
    # The collector of text files reads *.prom only.
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"--output {path}: {error.strerror or error}") from None
