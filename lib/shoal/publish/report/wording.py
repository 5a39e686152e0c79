"""Numbers and days as people read them. None becomes a dash everywhere."""

from __future__ import annotations

from datetime import date, datetime

NONE = "–"
_TEXT_LENGTH = 160
_JOINERS = "\u200c\u200d"


def count(number: int | float | None) -> str:
    """A whole number with thousands separators: 1234567 -> `1,234,567`."""
    return NONE if number is None else f"{round(number):,}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """A count with its noun: `1 run`, `2 runs`, `3 communities`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def share(part: float | None) -> str:
    """A share of 0..1 in percent with one decimal; the smallest that shows is `<0.1%`, the largest below all `>99.9%`."""
    if part is None:
        return NONE
    if 0 < part < 0.001:
        return "<0.1%"
    if 0.999 < part < 1:
        return ">99.9%"
    return f"{part:.1%}"


def decimal(number: float | None) -> str:
    """Four significant digits and no needless zeros; thousands separators from 10,000 on; powers of ten below 0.0001."""
    if number is None:
        return NONE
    if number == 0:
        return "0"
    if abs(number) >= 10_000:
        return f"{number:,.0f}" if abs(number) < 1e15 else f"{number:.3e}"
    return f"{number:.4g}" if abs(number) >= 1e-4 else f"{number:.1e}"


def metric(number: float | None) -> str:
    """A metric with four decimals, so that numbers below each other compare; like `decimal` from 1,000 on."""
    if number is None:
        return NONE
    return f"{number:.4f}" if abs(number) < 1_000 else decimal(number)


def p_value(number: float | None) -> str:
    """Three decimals; `<0.001` below that."""
    if number is None:
        return NONE
    return "<0.001" if number < 0.001 else f"{number:.3f}"


def seconds(number: float | None) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `2 h 05 min`."""
    if number is None:
        return NONE
    if number < 10:
        return f"{number:.1f} s"
    whole = round(number)
    if whole < 120:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def day(moment: date | datetime | None) -> str:
    """`30 June 2025`, the same in every locale."""
    return NONE if moment is None else f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def clock(moment: datetime | None) -> str:
    """`2025-06-30 14:05:09`; the times of the lake are UTC."""
    return NONE if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def shortened(text: str | None, length: int = _TEXT_LENGTH) -> str:
    """The text on one line, without control characters, cut at `length` code points with an ellipsis.

    Marks that turn the direction of writing go too; the joiners that emoji and Indic scripts are written with stay.
    """
    plain = "".join(c if c.isprintable() or c in _JOINERS else " " for c in text or "")
    words = " ".join(plain.split())
    return words if len(words) <= length else words[: length - 1].rstrip() + "…"


_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
           "December")  # fmt: skip
