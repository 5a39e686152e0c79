"""The rules by which a text becomes words, as data: patterns that Spark and plain Python apply alike. No Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Sequences of characters carry this mark, which no word has: "car" inside "scary" is not the word "car".
CHARACTERS = "c:"
# Hashed terms carry this one: "h:17" is bucket 17.
BUCKET = "h:"
# What stands for any link, mention and kind of emoticon. No other word begins with two underscores.
LINK, MENTION, SMILE, FROWN, HEART = "__link__", "__mention__", "__smile__", "__frown__", "__heart__"
ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&nbsp;": " "}
CHARACTER_NUMBER = r"&#([0-9]{2,6});"
# Patterns in Java's syntax, what takes their place ($0: the match), one after the other.
EDITS: Sequence[tuple[str, str]] = (
    # Marks without width: joiners, directions.
    (r"\p{Cf}", ""),
    (r"(?i)</?[a-z][^<>]{0,200}>", " "),
    (r"(?i)\b(?:https?://|www\.)\S*[^\s.,;:!?)\]\"'…]", f" {LINK} "),
    (r"(?<![\p{L}\p{N}_@.])@[\p{L}\p{N}_]+", f" {MENTION} "),
    (r"<3", f" {HEART} "),
    (r"(?<!\S)[:;=8xX]['o^-]?[)\]D}]+(?!\S)", f" {SMILE} "),
    (r"(?<!\S)[:;=]['o^-]?[(\[{/\\|]+(?!\S)", f" {FROWN} "),
    # "soooo" and "sooo" are one word, and not "so".
    (r"(\p{L})\1{2,}", "$1$1"),
    ("’", "'"),
    (r"[^\p{L}\p{M}\p{N}\p{So}_'#!?]", " "),
    (r"[!?\p{So}]", " $0 "),
    (r"(?<![\p{L}\p{M}\p{N}])'+|'+(?![\p{L}\p{N}])|#(?![\p{L}\p{N}_])", " "),
)


@dataclass(frozen=True)
class Preprocessing:
    """How a text becomes terms; saved with each model.

    `word_ngrams`: the longest sequence of words; `char_ngrams`: the shortest and longest sequence of characters inside a word, with
    a blank at either end of it, none where the longest is 0. `stemmer`: porter (English) or none. `stop_words`: a language of
    Spark's lists, or none. `hash_bits`: 0, or a term is one of 2^hash_bits buckets (CRC-32 of its UTF-8), which needs no
    dictionary.
    """

    word_ngrams: int
    char_ngrams: tuple[int, int]
    stemmer: str
    stop_words: str
    hash_bits: int = 0

    def buckets(self) -> list[str]:
        """The names of all buckets in the order of their numbers; empty where terms are not hashed."""
        return [f"{BUCKET}{number}" for number in range(1 << self.hash_bits)] if self.hash_bits else []
