"""Keywords of a text without training: YAKE (Campos et al., Information Sciences 509, 2020), by Spark NLP."""

from __future__ import annotations

from importlib.metadata import version

from pyspark.ml import PipelineModel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.mine.text.terms import shortened

KEYWORD_COLUMNS = ("keywords", "keyword_scores")
# Words of a phrase, phrases of a text.
LONGEST, KEYWORDS = 3, 10
# A long text says what it is about at its start; the method compares all its words with each other.
MAX_LENGTH = 5_000
_NO_WORDS = r"(?:https?://|www\.)\S+|&\w+;|<[^<>]{0,200}>|[\p{Cf}\p{So}]"


def keywords_version() -> str:
    """The name and version that rows carry in model_version."""
    return f"yake-spark-nlp/{version('spark-nlp')}"


def with_keywords(rows: DataFrame, text: Column) -> DataFrame:
    """The rows with `keywords` (array of phrases in lower case, at most KEYWORDS, the best first) and `keyword_scores` (doubles
    above 0, lower is better) after their columns; empty for null, blank and a text of stop words. Columns of these names are
    replaced.

    Links, emoji and markup do not count; equal scores are in the order of the phrases. English stop words. Lazy; no shuffle.
    """
    read = F.regexp_replace(shortened(text, MAX_LENGTH), _NO_WORDS, " ")
    packed = rows.drop(*KEYWORD_COLUMNS).select(F.struct("*").alias("row"), read.alias("_text"))
    found = F.transform("_keyword", lambda k: F.struct(_score(k).alias("score"), F.lower(k["result"]).alias("word")))
    # The same phrase in two sentences comes twice.
    ranked = F.slice(F.array_sort(F.array_distinct(found)), 1, KEYWORDS)
    ranked = F.filter(ranked, lambda k: k["score"].isNotNull())
    scored = _stages(packed).transform(packed).select("row", ranked.alias("ranked"))
    return scored.select("row.*", F.col("ranked.word").alias("keywords"), F.col("ranked.score").alias("keyword_scores"))


def _score(keyword: Column) -> Column:
    return keyword["metadata"]["score"].cast("double")


def _stages(rows: DataFrame) -> PipelineModel:
    """The stages `_text` -> `_keyword`; they learn nothing."""
    from sparknlp.annotator import SentenceDetector, Tokenizer, YakeKeywordExtraction
    from sparknlp.base import DocumentAssembler

    marks = ["(", ")", "?", "!", ".", ",", ";", ":", '"']
    return PipelineModel([
        DocumentAssembler().setInputCol("_text").setOutputCol("_document"),
        SentenceDetector().setInputCols(["_document"]).setOutputCol("_sentence"),
        Tokenizer().setInputCols(["_sentence"]).setOutputCol("_token").setContextChars(marks).fit(rows),
        YakeKeywordExtraction().setInputCols(["_token"]).setOutputCol("_keyword").setMinNGrams(1).setMaxNGrams(LONGEST)
        .setNKeywords(KEYWORDS),
    ])  # fmt: skip
