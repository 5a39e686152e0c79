"""Which words of a text weigh most for a category of a linear classifier. No Spark."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from shoal.arrays import Doubles
from shoal.mine.text.plain_terms import hashed
from shoal.mine.text.rules import CHARACTERS

# Words that say most of why, a text and category.
SPANS = 3
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def weights_by_label(labels: tuple[str, ...], coefficients: Doubles, idf: Doubles) -> dict[str, Doubles]:
    """What each term adds to the margin of each label. `coefficients`: a row per label (two labels: one row, of the second)."""
    both = np.concatenate([-coefficients, coefficients]) if len(coefficients) == 1 else coefficients
    return dict(zip(labels, both * idf, strict=True))


class SpanFinder:
    """The words of a text that weigh most for a category: each with its own weight and those of its sequences of characters.

    Sent to the workers with the weights of the model's terms, 16 MB at most."""

    def __init__(
        self, place: Mapping[str, int], weights: Mapping[str, Doubles], sizes: tuple[int, int], hash_bits: int = 0
    ) -> None:
        """`place`: term to column, `weights`: of each category a number per term, `sizes`: of sequences of characters; `hash_bits`:
        see shoal.mine.text.rules."""
        self.place, self.weights, self.sizes, self.hash_bits = place, weights, sizes, hash_bits

    def spans(self, text: str | None, category: str) -> list[dict[str, object]]:
        """The spans of a text, the heaviest first; none for a null text."""
        found = [(self._weight(match.group().lower(), category), match) for match in _WORD.finditer(text or "")]
        best = sorted((pair for pair in found if pair[0] > 0), key=lambda pair: (-pair[0], pair[1].start()))[:SPANS]
        return [{"start": m.start(), "end": m.end(), "text": m.group(), "weight": weight} for weight, m in best]

    def _weight(self, word: str, category: str) -> float:
        shortest, longest = self.sizes
        padded = f" {word} "
        terms = {word}
        if longest:
            terms |= {
                CHARACTERS + padded[i : i + n] for n in range(shortest, longest + 1) for i in range(len(padded) - n + 1)
            }  # fmt: skip
        if self.hash_bits:
            terms = {hashed(term, self.hash_bits) for term in terms}
        # Sorted: a set has its order from the process, and the last digit of a sum from its order.
        places = sorted(self.place[term] for term in terms if term in self.place)
        return float(self.weights[category][places].sum())
