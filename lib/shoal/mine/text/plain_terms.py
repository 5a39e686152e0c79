"""A text into its terms in plain Python, equal to those of `shoal.mine.text.terms` in Spark: for programs without Spark.

Character classes are those of the Unicode version of this Python (14 for 3.11), Spark's those of Java (13 for 17): letters that
one of them does not know yet may differ.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator
from functools import cache

from shoal.mine.text.rules import BUCKET, CHARACTER_NUMBER, CHARACTERS, EDITS, ENTITIES, Preprocessing

_BLANK = re.compile(r"\S", re.ASCII)
_DIGITS = re.compile(r"[0-9]+")
# A boundary before a letter, as Java has it: after no letter, digit or underscore, and no mark on one.
_JAVA_BOUNDARY = r"(?<![\p{L}\p{Nd}_])(?<![\p{L}\p{Nd}]\p{Mn})"
_SURROGATES = (0xD800, 0xDFFF)


def can_make_terms(preprocessing: Preprocessing) -> bool:
    """Whether these terms can be made without Spark: stems and stop words are Spark's."""
    return preprocessing.stemmer == "none" and preprocessing.stop_words == "none"


def is_blank(text: str | None) -> bool:
    """True for None and for a text of white space only."""
    return text is None or _BLANK.search(text) is None


def terms_of(text: str, preprocessing: Preprocessing) -> set[str]:
    """The different terms of a text; empty for one without a word."""
    words = edited(text).split(" ")
    words = [word for word in words if word]
    found = set(words)
    found.update("0" * len(word) for word in words if _DIGITS.fullmatch(word))
    for n in range(2, preprocessing.word_ngrams + 1):
        found.update(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    shortest, longest = preprocessing.char_ngrams
    if longest:
        for word in set(words):
            if not word.startswith("__"):
                found.update(_sequences(f" {word} ", shortest, longest))
    return {hashed(term, preprocessing.hash_bits) for term in found} if preprocessing.hash_bits else found


def hashed(term: str, bits: int) -> str:
    """The bucket of a term, one of 2^bits."""
    return BUCKET + str(zlib.crc32(term.encode("utf-8", "replace")) % (1 << bits))


def edited(text: str) -> str:
    """The text in lower case, its words divided by blanks."""
    for entity, character in ENTITIES.items():
        text = text.replace(entity, character)
    if "&#" in text:
        text = re.sub(CHARACTER_NUMBER, _character, text)
    for pattern, replacement in _edits():
        text = pattern.sub(replacement, text)
    return text.strip(" ").lower()


def _sequences(padded: str, shortest: int, longest: int) -> Iterator[str]:
    for n in range(shortest, longest + 1):
        for i in range(len(padded) - n + 1):
            yield CHARACTERS + padded[i : i + n]


def _character(match: re.Match[str]) -> str:
    number = int(match.group(1))
    return "?" if _SURROGATES[0] <= number <= _SURROGATES[1] else chr(number)


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of Java's syntax without flags (\\p{...}, ASCII white space and case) as Python's."""
    return re.compile(_with_classes(pattern.replace(r"\b", _JAVA_BOUNDARY)), re.ASCII)


@cache
def _edits() -> list[tuple[re.Pattern[str], str]]:
    """EDITS for Python."""
    return [(compiled(pattern), re.sub(r"\$(\d)", r"\\g<\1>", replacement)) for pattern, replacement in EDITS]


def _with_classes(pattern: str) -> str:
    """The pattern with ranges of characters in the place of \\p{...}."""
    made, inside, at = [], False, 0
    while at < len(pattern):
        if pattern.startswith(r"\p{", at):
            end = pattern.index("}", at)
            ranges = _ranges(pattern[at + 3 : end])
            made.append(ranges if inside else f"[{ranges}]")
            at = end + 1
            continue
        step = 2 if pattern[at] == "\\" else 1
        piece = pattern[at : at + step]
        inside = (inside or piece == "[") and piece != "]"
        made.append(piece)
        at += step
    return "".join(made)


@cache
def _ranges(category: str) -> str:
    """The characters of a Unicode category (L: Lu, Ll ...) as the inside of a character class."""
    found: list[list[int]] = []
    for number, name in enumerate(_categories()):
        if name.startswith(category):
            if found and found[-1][1] == number - 1:
                found[-1][1] = number
            else:
                found.append([number, number])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in found)


@cache
def _categories() -> tuple[str, ...]:
    return tuple(map(unicodedata.category, map(chr, range(0x110000))))
