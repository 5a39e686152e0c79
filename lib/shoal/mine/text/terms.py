"""Stages that turn a text into terms: its words in lower case and its pairs of neighbouring words.

Negation stays: no stop words are removed, "don't" is one word, and "not good" is a term of its own. `!` and `?` count as
words, and so do emoji; other punctuation goes.
"""

from __future__ import annotations

from pyspark.ml import PipelineModel
from pyspark.ml.feature import NGram, SQLTransformer
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

TEXT, TERMS = "text", "terms"
# Everything but letters, their accents, digits, apostrophes, ! and ?, and symbols such as emoji.
_DROPPED = r"[^\p{L}\p{M}\p{N}\p{So}'’!?]"


def is_blank(text: Column) -> Column:
    """True for null and for text of white space only; never null."""
    return F.coalesce(~text.rlike(r"\S"), F.lit(True))


def shortened(text: Column, max_length: int) -> Column:
    """The first `max_length` code points; an empty text for null. A text of 10 MB says no more of its label than its start."""
    return F.substring(F.coalesce(text, F.lit("")), 1, max_length)


def term_stages(texts: DataFrame) -> PipelineModel:
    """The stages `text` -> `terms` (array of strings, empty for a text without a word), by Spark NLP and Spark ML.

    `texts` only gives the stages their session and schema: nothing is learned from it.
    """
    # Imported here: the classes need Spark NLP's jar in the session, which only training and scoring texts do.
    from sparknlp.annotator import Normalizer, Tokenizer
    from sparknlp.base import DocumentAssembler, Finisher

    document = DocumentAssembler().setInputCol(TEXT).setOutputCol("document")
    tokenizer = Tokenizer().setInputCols(["document"]).setOutputCol("token").fit(texts)
    normalizer = Normalizer().setInputCols(["token"]).setOutputCol("word").setLowercase(True)
    normalizer = normalizer.setCleanupPatterns([_DROPPED]).fit(texts)
    finisher = Finisher().setInputCols(["word"]).setOutputCols(["words"]).setOutputAsArray(True)
    pairs = NGram(n=2, inputCol="words", outputCol="pairs")
    both = SQLTransformer(statement=f"SELECT *, concat(words, pairs) AS {TERMS} FROM __THIS__")
    return PipelineModel([document, tokenizer, normalizer, finisher, pairs, both])
