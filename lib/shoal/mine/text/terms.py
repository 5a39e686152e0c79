"""Turn a text into terms: words by the rules of social media, sequences of words, and sequences of characters inside words.

Negation stays: no stop words are removed by default, "don't" is one word, and "not good" is a term of its own. `!`, `?`, emoji and
emoticons are words; #hashtags stay as such; links, @mentions become one word each, digits also a word of their length.
"""

from __future__ import annotations

from typing import Any

from pyspark.ml import PipelineModel
from pyspark.ml.feature import StopWordsRemover
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.mine.text.rules import BUCKET, CHARACTER_NUMBER, CHARACTERS, EDITS, ENTITIES, Preprocessing

TEXT, TERMS, WORDS = "text", "terms", "words"
_NO_TERMS = "cast(array() AS array<string>)"


def is_blank(text: Column) -> Column:
    """True for null and for text of white space only; never null."""
    return F.coalesce(~text.rlike(r"\S"), F.lit(True))


def shortened(text: Column, max_length: int) -> Column:
    """The first `max_length` code points; an empty text for null. A text of 10 MB says no more of its label than its start."""
    return F.substring(F.coalesce(text, F.lit("")), 1, max_length)


def with_terms(rows: DataFrame, preprocessing: Preprocessing) -> DataFrame:
    """The rows with `terms`, the different terms of column `text` (array of strings, empty for null and for a text without a word).

    By Spark NLP (words, stop words, stems) and Spark (the rest). Lazy; one pass, no shuffle.
    """
    words = _word_stages(rows, preprocessing).transform(rows.withColumn("_text", _edited(F.col(TEXT))))
    found = [F.col("_words"), _number_shapes()]
    found += [_word_sequences(n) for n in range(2, preprocessing.word_ngrams + 1)]
    shortest, longest = preprocessing.char_ngrams
    if longest:
        found.append(_character_sequences(shortest, longest))
    terms = F.concat(*found)
    if preprocessing.hash_bits:
        buckets = F.lit(1 << preprocessing.hash_bits)
        terms = F.transform(terms, lambda term: F.concat(F.lit(BUCKET), (F.crc32(term) % buckets).cast("string")))
    return words.select(*[column for column in rows.columns if column != TERMS], F.array_distinct(terms).alias(TERMS))


def bucket_numbers(terms: Column) -> Column:
    """The numbers of hashed terms (array of int)."""
    return F.transform(terms, lambda term: F.substring(term, len(BUCKET) + 1, 10).cast("int"))


def with_words(rows: DataFrame, preprocessing: Preprocessing) -> DataFrame:
    """The rows with `words`, all words of column `text` in their order (empty for null and for a text without a word): after stop
    words and stems. Lazy; one pass, no shuffle."""
    words = _word_stages(rows, preprocessing).transform(rows.withColumn("_text", _edited(F.col(TEXT))))
    return words.select(*[column for column in rows.columns if column != WORDS], F.col("_words").alias(WORDS))


def _edited(text: Column) -> Column:
    """The text in lower case, its words divided by blanks."""
    edited = F.coalesce(text, F.lit(""))
    for entity, character in ENTITIES.items():
        edited = F.replace(edited, F.lit(entity), F.lit(character))
    edited = F.when(edited.contains("&#"), _decoded(edited)).otherwise(edited)
    for pattern, replacement in EDITS:
        edited = F.regexp_replace(edited, pattern, replacement)
    return F.lower(F.trim(edited))


def _decoded(text: Column) -> Column:
    """The text with characters for their numbers: `&#128514;`."""
    return F.array_join(
        F.zip_with(
            F.split(text, CHARACTER_NUMBER), F.regexp_extract_all(text, F.lit(CHARACTER_NUMBER), F.lit(1)),
            lambda before, number: F.concat(before, F.when(number.isNull(), "").otherwise(_character(number))),
        ), "",
    )  # fmt: skip


def _character(number: Column) -> Column:
    return F.decode(F.unhex(F.lpad(F.hex(number.cast("bigint")), 8, "0")), "UTF-32")


def _word_stages(rows: DataFrame, preprocessing: Preprocessing) -> PipelineModel:
    """The stages `_text` -> `_words`; they learn nothing, `rows` only gives their session."""
    # Imported here: the classes need Spark NLP's jar in the session, which only training and scoring texts do.
    from sparknlp.annotator import RegexTokenizer, Stemmer, StopWordsCleaner
    from sparknlp.base import DocumentAssembler, Finisher

    stages: list[Any] = [
        DocumentAssembler().setInputCol("_text").setOutputCol("_document"),
        RegexTokenizer().setInputCols(["_document"]).setOutputCol("_token").setPattern(r"\s+"),
    ]
    last = "_token"
    if preprocessing.stop_words != "none":
        listed = StopWordsRemover.loadDefaultStopWords(preprocessing.stop_words)
        stages.append(StopWordsCleaner().setInputCols([last]).setOutputCol("_kept").setStopWords(listed))
        last = "_kept"
    if preprocessing.stemmer == "porter":
        stages.append(Stemmer().setInputCols([last]).setOutputCol("_stem"))
        last = "_stem"
    stages.append(Finisher().setInputCols([last]).setOutputCols(["_words"]).setOutputAsArray(True).setCleanAnnotations(True))
    return PipelineModel(stages)


def _number_shapes() -> Column:
    """A run of zeros for each number: telephone numbers and prices are alike in their length, not in their digits."""
    return F.expr("transform(filter(_words, w -> w RLIKE '^[0-9]+$'), w -> repeat('0', length(w)))")


def _word_sequences(n: int) -> Column:
    return F.expr(
        f"if(size(_words) < {n}, {_NO_TERMS}, "
        f"transform(sequence(1, size(_words) - {n - 1}), i -> array_join(slice(_words, i, {n}), ' ')))"
    )


def _character_sequences(shortest: int, longest: int) -> Column:
    """The sequences of each different word, `__link__` and its like excepted."""
    return F.expr(
        "flatten(transform(filter(array_distinct(_words), w -> NOT startswith(w, '__')), w -> "
        f"flatten(transform(sequence({shortest}, {longest}), n -> if(length(w) + 2 < n, {_NO_TERMS}, "
        f"transform(sequence(1, length(w) + 3 - n), i -> concat('{CHARACTERS}', substring(concat(' ', w, ' '), i, n))))))))"
    )
