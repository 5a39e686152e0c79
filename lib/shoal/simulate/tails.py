"""Bounded Pareto laws in closed form over positions: who gets how much of a total, without ever summing anything.

Position x in [0, 1] is the share of the population that has more. A bounded Pareto with tail a and largest to smallest ratio R
has the value (x + q)^(-1/a) there, up to scale, with q = 1 / (R^a - 1) (Johnson, Kotz and Balakrishnan 1994, ch. 20.4).
"""

from __future__ import annotations

import numpy as np

from shoal.arrays import Doubles
from shoal.simulate.draws import Longs


def share_above(position: Doubles, tail: float, span: float) -> Doubles:
    """The share of the total that the top `position` of the population holds: 0 at 0, 1 at 1, increasing."""
    power, offset = 1.0 - 1.0 / tail, 1.0 / (span**tail - 1.0)
    if abs(power) < 1e-9:
        return np.log1p(position / offset) / np.log1p(1.0 / offset)
    base = offset**power
    return ((position + offset) ** power - base) / ((1.0 + offset) ** power - base)


def position_of_share(share: Doubles, tail: float, span: float) -> Doubles:
    """The inverse of `share_above`: a uniform draw in gives a position in, drawn in proportion to the value there."""
    power, offset = 1.0 - 1.0 / tail, 1.0 / (span**tail - 1.0)
    if abs(power) < 1e-9:
        position = offset * np.expm1(share * np.log1p(1.0 / offset))
    else:
        base = offset**power
        position = (base + share * ((1.0 + offset) ** power - base)) ** (1.0 / power) - offset
    # Rounding differs by processor: the last position may come out just above 1.
    return np.clip(position, 0.0, np.nextafter(1.0, 0.0))


def counts_by_rank(rank: Longs, size: int, total: int, tail: float, span: float) -> Longs:
    """How many of `total` the member of each rank (0 is the first) of `size` gets; over all ranks exactly `total`."""
    above = np.floor(total * share_above(rank / size, tail, span) + 0.5)
    upto = np.floor(total * share_above((rank + 1) / size, tail, span) + 0.5)
    return (upto - above).astype(np.int64)


def bounds_of_groups(groups: int, size: int, tail: float, span: float) -> Longs:
    """Borders of `groups` consecutive groups of 0..size-1 with bounded Pareto sizes, largest first: groups + 1 numbers."""
    shares = share_above(np.arange(groups + 1) / groups, tail, span)
    return np.floor(size * shares + 0.5).astype(np.int64)
