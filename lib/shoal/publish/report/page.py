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
    """What stands above the parts. run_id and code_version: of the run that wrote the page."""

    lake: str
    as_of: date
    run_id: str
    code_version: str
    sizes: Tiles


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
    return template.render(heading=heading, parts=shown, findings=findings, day=day(heading.as_of)).lstrip()
