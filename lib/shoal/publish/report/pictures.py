"""Figures as inline SVG: one style, no global state, the same bytes for the same numbers.

Text stays text (it can be searched, read aloud and takes the page's font). Ids are made unique per figure, so that many
figures live in one page. Colours: Okabe and Ito, "Color Universal Design" (2008); most colour-blind people can tell them apart.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from datetime import date
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from shoal.publish.report.wording import count, decimal

INK, MUTED, LINE = "#1c2733", "#56636f", "#dfe4e9"
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, GREY = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#a35a86", "#56b4e9", "#c9b800", "#7a8793",
)  # fmt: skip
PALETTE = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, GREY)

# A figure's own width in CSS pixels: readable when a phone shows it at four fifths.
NARROW, WIDE = 460, 940
_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
# A hundredth of a pixel is enough, and half the bytes.
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "shoal", "font.family": ["DejaVu Sans"], "font.size": 12.0, "text.color": INK,
    # A `$` in a title is a dollar, not mathematics.
    "text.parse_math": False, "axes.edgecolor": LINE, "axes.labelcolor": MUTED, "axes.labelsize": 12.0,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True, "grid.color": LINE,
    "grid.linewidth": 0.8, "xtick.color": MUTED, "ytick.color": MUTED, "xtick.labelsize": 12.0, "ytick.labelsize": 12.0,
    "xtick.major.size": 3.0, "ytick.major.size": 0.0, "xtick.minor.size": 0.0, "ytick.minor.size": 0.0,
    "legend.frameon": False, "legend.fontsize": 12.0, "figure.facecolor": "none", "axes.facecolor": "none",
    "lines.linewidth": 1.8, "path.simplify": True,
}  # fmt: skip


def draw(name: str, paint: Callable[[Axes], None], width: int = NARROW, height: int = 300) -> Markup:
    """The SVG of one figure; `paint` fills its axes. `name` makes its ids unique: letters, digits and dashes.

    width, height: CSS pixels; the page scales it down where there is less room.
    """
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Scripts and emoji that our measuring font lacks are drawn by the browser's.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        paint(figure.add_subplot())
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inline(name, buffer.getvalue(), width, height)


def _inline(name: str, svg: bytes, width: int, height: int) -> Markup:
    """matplotlib's SVG file as an element of a page: no prologue, no metadata, ids prefixed, sized by the page."""
    root = ElementTree.fromstring(svg)  # noqa: S314 - matplotlib wrote it a moment ago, escaping every text
    for child in [c for c in root if c.tag.endswith("metadata")]:
        root.remove(child)
    ids = {e.get("id") for e in root.iter() if e.get("id")}
    for element in root.iter():
        element.tag = element.tag.replace(_SVG, "")
        for key, value in list(element.attrib.items()):
            if key == "id":
                element.set("id", f"{name}-{value}")
            elif key == _XLINK:
                del element.attrib[key]
                element.set("href", f"#{name}-{value[1:]}")
            elif value.startswith("url(#") and value[5:-1] in ids:
                element.set(key, f"url(#{name}-{value[5:-1]})")
            elif key in ("d", "x", "y"):
                element.set(key, _LONG_NUMBER.sub(lambda n: f"{float(n[0]):.2f}", value))
    root.attrib.clear()
    # The figure's alternative text stands in the page, on the element around this one.
    root.attrib.update({"viewBox": f"0 0 {width} {height}", "aria-hidden": "true", "focusable": "false"})
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 - see above


def short_number(value: float, _position: int | None = None) -> str:
    """A number for an axis: 1500 -> `1,500`, 25000 -> `25k`, 3000000 -> `3M`."""
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):,.4g}{unit}"
    return count(value) if float(value).is_integer() else decimal(value)


def number_axis(axis: object, most: int = 5, whole: bool = False) -> None:
    """Ticks at round numbers, written short."""
    axis.set_major_locator(MaxNLocator(most, integer=whole, steps=[1, 2, 2.5, 5, 10]))  # type: ignore[attr-defined]
    axis.set_major_formatter(FuncFormatter(short_number))  # type: ignore[attr-defined]


def histogram(
    name: str, edges: Sequence[float], counts: Sequence[float], x_label: str, y_label: str, mark: tuple[float, str]
) -> Markup:
    """Bars between `edges` (one more than `counts`); `mark`: a vertical line with its words."""

    def paint(axes: Axes) -> None:
        widths = [b - a for a, b in pairwise(edges)]
        axes.bar(edges[:-1], counts, width=[w * 0.92 for w in widths], align="edge", color=BLUE)
        axes.grid(axis="x", visible=False)
        axes.set(xlabel=x_label, ylabel=y_label)
        number_axis(axes.yaxis)
        number_axis(axes.xaxis, 10)
        axes.axvline(mark[0], color=VERMILION, linewidth=1.4, linestyle=(0, (4, 2)))
        beyond = mark[0] > (edges[0] + edges[-1]) / 2
        axes.annotate(
            mark[1], (mark[0], 1.0), xycoords=("data", "axes fraction"), textcoords="offset points",
            xytext=(-5 if beyond else 5, 4), ha="right" if beyond else "left", va="bottom", color="#a84a00",
        )  # fmt: skip

    return draw(name, paint)


def steps(name: str, edges: Sequence[float], series: Sequence[tuple[str, Sequence[float]]], x_label: str, y_label: str) -> Markup:
    """Outlines of histograms with common edges over each other: the first filled, the others as lines. Shares, 0..1."""

    def paint(axes: Axes) -> None:
        looks = [(GREY, "-"), (VERMILION, "-"), (BLUE, "--")]
        for number, ((label, values), (colour, line)) in enumerate(zip(series, looks, strict=False)):
            if number == 0:
                axes.stairs(values, edges, fill=True, color=colour, alpha=0.35, label=label)
                axes.stairs(values, edges, color=colour, linewidth=1.0)
            else:
                axes.stairs(values, edges, color=colour, linestyle=line, linewidth=1.8, label=label)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.set_ylim(0, None)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0%}"))
        number_axis(axes.xaxis, 6)
        axes.grid(axis="x", visible=False)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2, handlelength=1.4)

    return draw(name, paint, height=270)


def cumulative(name: str, series: Sequence[tuple[str, Sequence[tuple[float, float]]]], x_label: str, y_label: str) -> Markup:
    """Curves through (value, share of rows up to there), in order; the first as a broad band, the others as lines."""

    def paint(axes: Axes) -> None:
        looks = [(GREY, "-", 6.0, 0.4), (VERMILION, "-", 1.8, 1.0), (BLUE, "--", 1.8, 1.0)]
        for (label, points), (colour, line, thick, alpha) in zip(series, looks, strict=False):
            xs, ys = [p[0] for p in points], [p[1] for p in points]
            axes.plot(xs, ys, color=colour, linestyle=line, linewidth=thick, alpha=alpha, label=label)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0%}"))
        number_axis(axes.xaxis, 6)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2, handlelength=1.4)

    return draw(name, paint, height=270)


def paired_bars(name: str, labels: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], x_label: str) -> Markup:
    """Horizontal bars, one group a label, one bar a series. Shares, 0..1."""

    def paint(axes: Axes) -> None:
        colours, thick = (GREY, VERMILION, BLUE), 0.8 / len(series)
        for number, (label, values) in enumerate(series):
            places = [i + (number - (len(series) - 1) / 2) * thick for i in range(len(labels))]
            axes.barh(places, values, height=thick * 0.9, color=colours[number % 3], label=label)
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(xlabel=x_label)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0%}"))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2, handlelength=1.4)

    return draw(name, paint, height=90 + 34 * max(3, len(labels)))


def curves(
    name: str, xs: Sequence[float], series: Sequence[tuple[str, Sequence[float | None]]], x_label: str, y_label: str
) -> Markup:
    """A line a series through (x, y), in the order of the legend; a y that is None is skipped. From zero on."""

    def paint(axes: Axes) -> None:
        marks = ("o", "s", "^", "D", "v", "P", "X", "*")
        for number, (label, values) in enumerate(series):
            known = [(x, y) for x, y in zip(xs, values, strict=True) if y is not None]
            # Colours repeat after eight; their lines are then broken.
            line = "-" if number < len(PALETTE) else "--"
            axes.plot(
                [x for x, _ in known], [y for _, y in known], color=PALETTE[number % len(PALETTE)], linestyle=line,
                marker=marks[number % len(marks)], markersize=5, linewidth=1.6, label=label,
            )  # fmt: skip
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.set_ylim(0, None)
        axes.set_xticks(list(xs), [short_number(x) for x in xs])
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2, handlelength=1.6, columnspacing=1.0)

    return draw(name, paint, height=300 + 18 * math.ceil(len(series) / 3))


def log_log(name: str, points: Sequence[tuple[float, float]], x_label: str, y_label: str) -> Markup:
    """A curve over two logarithmic axes through (x, y), both above 0."""

    def paint(axes: Axes) -> None:
        axes.plot([p[0] for p in points], [p[1] for p in points], color=BLUE, marker="o", markersize=3.2, linewidth=1.0)
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(short_number))
            axis.set_minor_locator(NullLocator())
        axes.set(xlabel=x_label, ylabel=y_label)
        # Whole decades: a curve of one point has no range to choose an axis from.
        for numbers, set_limits in (([p[0] for p in points], axes.set_xlim), ([p[1] for p in points], axes.set_ylim)):
            low, high = math.floor(math.log10(min(numbers))), math.ceil(math.log10(max(numbers)))
            set_limits(10.0**low * 0.8, 10.0 ** max(high, low + 1) * 1.25)

    return draw(name, paint)


def area(name: str, days: Sequence[date], values: Sequence[float], y_label: str, width: int = WIDE) -> Markup:
    """Values over time as a filled line from zero; `days` in order."""

    def paint(axes: Axes) -> None:
        xs = [float(date2num(d)) for d in days]
        axes.fill_between(xs, values, step=None, color=BLUE, alpha=0.18, linewidth=0)
        axes.plot(xs, values, color=BLUE, marker="o" if len(xs) == 1 else "", linewidth=1.6)
        axes.set_ylim(0, max([*values, 1]) * 1.08)
        _time_axis(axes, xs, width)
        axes.set(ylabel=y_label)
        number_axis(axes.yaxis, whole=True)

    return draw(name, paint, width=width, height=260)


def lines_over_time(
    name: str, days: Sequence[date], series: Sequence[tuple[str, Sequence[float | None]]], y_label: str, width: int = WIDE
) -> Markup:
    """A line a series over time, `days` in order; it is broken where a value is None. A line at zero."""

    def paint(axes: Axes) -> None:
        xs = [float(date2num(d)) for d in days]
        axes.axhline(0, color=MUTED, linewidth=0.8)
        for (label, values), colour, mark in zip(series, PALETTE, ("o", "s", "^", "D", "v", "P", "X", "*"), strict=False):
            shown = [math.nan if value is None else value for value in values]
            axes.plot(xs, shown, color=colour, marker=mark, markersize=4, linewidth=1.6, label=label)
        _time_axis(axes, xs, width)
        axes.set(ylabel=y_label)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2, handlelength=1.6, columnspacing=1.0)

    return draw(name, paint, width=width, height=280)


def hours_of_the_week(name: str, days: Sequence[str], numbers: Sequence[Sequence[int]]) -> Markup:
    """A field of a row a day and a column an hour, darker where there is more. Without any: all light."""

    def paint(axes: Axes) -> None:
        most = max((n for line in numbers for n in line), default=0) or 1
        colours = LinearSegmentedColormap.from_list("week", ["#f3f6f9", BLUE])
        axes.pcolormesh(
            range(25), range(len(days) + 1), [list(line) for line in numbers], cmap=colours, vmin=0, vmax=most, edgecolors="white",
            linewidth=1.0,
        )  # fmt: skip
        axes.invert_yaxis()
        axes.set_yticks([place + 0.5 for place in range(len(days))], days)
        axes.set_xticks(range(0, 25, 3))
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set(xlabel="hour")

    return draw(name, paint, height=250)


def marked_days(
    name: str, days: Sequence[date], values: Sequence[float], marks: Sequence[date], y_label: str, width: int = WIDE
) -> Markup:
    """Values over time as a line from zero; those of the days in `marks` have a ring. `days` in order."""

    def paint(axes: Axes) -> None:
        xs = [float(date2num(d)) for d in days]
        axes.plot(xs, values, color=BLUE, marker="o" if len(xs) == 1 else "", linewidth=1.4)
        rings = [(x, value) for x, value, one in zip(xs, values, days, strict=True) if one in set(marks)]
        ring = {"marker": "o", "markersize": 9, "markerfacecolor": "none", "color": VERMILION, "linestyle": "", "clip_on": False}
        axes.plot([x for x, _ in rings], [y for _, y in rings], **ring)  # type: ignore[arg-type]
        axes.set_ylim(0, max([*values, 1]) * 1.12)
        _time_axis(axes, xs, width)
        axes.set(ylabel=y_label)
        number_axis(axes.yaxis, whole=True)

    return draw(name, paint, width=width, height=260)


def _time_axis(axes: Axes, xs: Sequence[float], width: int) -> None:
    locator = AutoDateLocator(minticks=3, maxticks=9 if width == WIDE else 5)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False, zero_formats=_ZERO_FORMATS))
    if len(xs) > 1:
        axes.set_xlim(xs[0], xs[-1])
    axes.grid(axis="x", visible=False)


# Where a tick begins a larger unit it names it: January shows its year.
_ZERO_FORMATS = ["", "%b\n%Y", "%b", "%b-%d", "%H:%M", "%H:%M"]
