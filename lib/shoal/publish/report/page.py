"""Parts in, one HTML page out: no script, no resource from outside, everything that comes from data escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from shoal.publish.report.blocks import Part, Tiles
from shoal.publish.report.glossary import glossary_part
from shoal.publish.report.wording import day


@dataclass(frozen=True)
class Heading:
    """What stands above the parts and below them: title, (name, value) pairs, numbers, and where all of it is from."""

    title: str
    about: Sequence[tuple[str, str]]
    sizes: Tiles
    closing: str


def lake_heading(lake: str, as_of: date, run_id: str, code_version: str, sizes: Tiles) -> Heading:
    """The heading of a report on a lake; run_id and code_version are of the run that wrote the page."""
    about = (("Lake", lake), ("Day (as of, UTC)", as_of.isoformat()), ("Run", run_id), ("Code", code_version))
    closing = f"Made from the tables of the lake alone; everything after the end of {day(as_of)} (UTC) is unknown to it."
    return Heading(f"Lake report, {day(as_of)}", about, sizes, closing)


def page(heading: Heading, parts: Sequence[Part]) -> str:
    """The whole page; the glossary of what the parts use is added. The same input gives the same text."""
    terms = sorted({term for part in parts for term in part.terms})
    shown = [*parts, *([glossary_part(terms)] if terms else [])]
    environment = Environment(
        loader=PackageLoader("shoal.publish.report", "."), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        # The template's name ends in .j2: the page is HTML all the same.
        autoescape=select_autoescape(default=True, default_for_string=True),
    )  # fmt: skip
    findings = [(part.name, part.finding) for part in parts if part.finding]
    template = environment.get_template("page.html.j2")
    # The macros at the template's head leave empty lines.
    return template.render(heading=heading, parts=shown, findings=findings).lstrip()
