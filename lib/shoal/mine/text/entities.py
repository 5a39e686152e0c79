"""What a text names: hashtags, mentions, links; people, organisations and places by the patterns of their names."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.mine.text.terms import shortened

MAX_LENGTH = 20_000
# Another number whenever a pattern changes: texts are then read again.
PATTERNS_VERSION = "patterns/1"
_TITLES = "Mr|Mrs|Ms|Dr|Prof|Sir|President|Senator|Minister|Pope|King|Queen|Prince|Princess|Judge|Rev"
_BODIES = "Inc|Corp|Ltd|LLC|PLC|GmbH|AG|Company|Corporation|University|Institute|Bank|Foundation|Committee|Party|Council|Group"
_SITES = "City|Street|Avenue|Road|Square|River|Lake|Island|Islands|Mountains|County|Airport"
_REGIONS = r"Mount|Lake|Fort|Cape|Saint|St\.|San|New|North|South|East|West"
_START = r"(?<![\p{L}])"
_NAME = r"\p{Lu}[\p{L}\p{M}'’-]*"
_PEOPLE = _START + rf"(?:{_TITLES})\.?[ ]({_NAME}(?:[ ]{_NAME}){{0,3}})"
_ORGANISATIONS = _START + rf"({_NAME}(?:[ ](?:{_NAME}|of|and|&)){{0,4}}[ ](?:{_BODIES})\b)"
_PLACES = _START + rf"({_NAME}(?:[ ]{_NAME}){{0,2}}[ ](?:{_SITES})\b|(?:{_REGIONS})[ ]{_NAME})"
# Name -> pattern and the group that is the entity; hashtags and mentions without their mark, in lower case.
_PATTERNS: dict[str, tuple[str, int]] = {
    "hashtags": (r"(?<![\p{L}\p{N}_&/])#([\p{L}\p{N}_]*\p{L}[\p{L}\p{N}_]*)", 1),
    "mentions": (r"(?<![\p{L}\p{N}_@.])@([\p{L}\p{N}_](?:[\p{L}\p{N}_.]{0,28}[\p{L}\p{N}_])?)", 1),
    "urls": (r"(?i)(?<![\p{L}\p{N}])((?:https?://|www\.)[^\s<>\"']*[^\s<>\"'.,;:!?)\]}…])", 1),
    "people": (_PEOPLE, 1),
    "organisations": (_ORGANISATIONS, 1),
    "places": (_PLACES, 1),
}
ENTITY_COLUMNS = tuple(_PATTERNS)


def with_entities(rows: DataFrame, text: Column) -> DataFrame:
    """The rows with ENTITY_COLUMNS after their columns: arrays of the different entities of each kind, in the order of the text,
    empty for null and where there is none. Columns of these names are replaced.

    Hashtags and mentions are without their mark, in lower case; a hashtag has a letter. Links are as they stand, without the
    punctuation that follows. People are names after a title, organisations and places names with a word that says what they are.
    The first MAX_LENGTH code points are read. Column expressions only: lazy, no shuffle.
    """
    read = shortened(text, MAX_LENGTH)
    found = [entities_of(read, kind).alias(kind) for kind in ENTITY_COLUMNS]
    packed = rows.drop(*ENTITY_COLUMNS).select(F.struct("*").alias("row"), *found)
    return packed.select("row.*", *ENTITY_COLUMNS)


def entities_of(text: Column, kind: str) -> Column:
    """The different entities of one of ENTITY_COLUMNS in a text, in its order; null for null."""
    pattern, group = _PATTERNS[kind]
    # The name of a link is no hashtag.
    found = F.regexp_extract_all(text, F.lit(pattern), F.lit(group))
    return F.array_distinct(F.transform(found, F.lower) if kind in ("hashtags", "mentions") else found)
