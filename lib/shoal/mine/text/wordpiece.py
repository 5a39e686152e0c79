"""A text as the pieces of words that BERT and the sentence embeddings made from it read. No Spark.

Devlin et al., BERT (NAACL 2019): words are divided at white space and punctuation, and each is cut from the left into the longest
pieces that the vocabulary has; pieces inside a word begin with `##`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

UNKNOWN, FIRST, LAST, PADDING = "[UNK]", "[CLS]", "[SEP]", "[PAD]"
# Longer words are unknown, as in BERT.
_LONGEST_WORD = 100


def word_pieces(text: str, vocabulary: Mapping[str, int], lower_case: bool, max_pieces: int) -> list[int]:
    """The numbers of [CLS], the text's pieces, [SEP]; at most `max_pieces`, cut at the end. Control characters are dropped; with
    `lower_case` accents are too."""
    found = [number for word in _words(text, lower_case) for number in _pieces(word, vocabulary)]
    return [vocabulary[FIRST], *found[: max_pieces - 2], vocabulary[LAST]]


def _words(text: str, lower_case: bool) -> list[str]:
    """The words and punctuation marks of a text; Chinese characters are words."""
    if lower_case:
        text = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    made = []
    for character in text:
        if character.isspace():
            made.append(" ")
        elif character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf", "Cn", "Co", "Cs"):
            continue
        elif _is_mark(character) or 0x4E00 <= ord(character) <= 0x9FFF or 0x3400 <= ord(character) <= 0x4DBF:
            made.append(f" {character} ")
        else:
            made.append(character)
    return "".join(made).split()


def _is_mark(character: str) -> bool:
    # BERT counts all of ASCII's signs, `$` and `^` too.
    return unicodedata.category(character).startswith("P") or (character.isascii() and not character.isalnum())


def _pieces(word: str, vocabulary: Mapping[str, int]) -> list[int]:
    """The longest pieces from the left; [UNK] for a word that cannot be cut into known ones."""
    found: list[int] = []
    start = 0
    while start < len(word):
        inside = "##" if start else ""
        end = next((e for e in range(len(word), start, -1) if inside + word[start:e] in vocabulary), 0)
        if not end or len(word) > _LONGEST_WORD:
            return [vocabulary[UNKNOWN]]
        found.append(vocabulary[inside + word[start:end]])
        start = end
    return found
