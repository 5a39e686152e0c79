"""The rows to learn from: which are usable, which are held out, and how many there are of each label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from shoal.errors import InputError
from shoal.mine.text.split import is_held_out
from shoal.mine.text.terms import TERMS, TEXT, Preprocessing, is_blank, shortened

MIN_ROWS = 10
# A model has a weight for every label and term; a column with more values than this is hardly one of labels.
MAX_LABELS = 200
# A label with fewer rows stays in the training part whole: drawing could leave none there.
RARE_ROWS = 10
# Up to so many terms of all texts together (500 MB on the driver) and weights (16 MB) the driver fits.
MAX_LOCAL_TERMS = 15_000_000
MAX_LOCAL_WEIGHTS = 2_000_000


@dataclass(frozen=True)
class Plan:
    """How to train: the settings of conf's `train_sentiment`."""

    test_ratio: float
    validation_ratio: float
    max_features: int
    min_document_count: int
    max_text_length: int
    inverse_penalties: Sequence[float]
    class_weight_powers: Sequence[float]
    max_iter: int
    seed: int
    word_ngrams: int = 2
    char_ngrams: Sequence[int] = (2, 5)
    stemmer: str = "none"
    stop_words: str = "none"
    precisions: Sequence[float] = (0.95, 0.5)
    hash_bits: int = 0

    @property
    def preprocessing(self) -> Preprocessing:
        """How texts become terms."""
        shortest, longest = self.char_ngrams
        return Preprocessing(self.word_ngrams, (int(shortest), int(longest)), self.stemmer, self.stop_words, self.hash_bits)


@dataclass(frozen=True)
class Parts:
    """Rows by label of all usable rows, of the training part, and of its two parts for the search; rows that were dropped; terms
    of all rows, and the most that a row of the training part has."""

    counts: dict[str, int]
    train: dict[str, int]
    search: dict[str, int]
    valid: dict[str, int]
    dropped: int
    terms: int
    most_terms: int

    @property
    def rows(self) -> int:
        """The usable rows."""
        return sum(self.counts.values())

    def is_small(self, plan: Plan) -> bool:
        """Whether the driver fits: the terms bound the vectors' entries, and with the labels the weights."""
        return self.terms <= MAX_LOCAL_TERMS and len(self.train) * min(self.terms, plan.max_features) <= MAX_LOCAL_WEIGHTS


def known_texts(texts: DataFrame, max_text_length: int, *kept: str) -> DataFrame:
    """Columns text (shortened, never null), label (null where blank), key (what is held out together), is_blank; and those
    `kept`."""
    label = F.trim("label")
    return texts.select(
        shortened(F.col("text"), max_text_length).alias(TEXT),
        F.when(label != "", label).alias("label"),
        F.coalesce("group", F.lower(F.trim("text"))).alias("key"),
        is_blank(F.col("text")).alias("is_blank"),
        *kept,
    )


def usable(known: DataFrame) -> DataFrame:
    """The rows with words to learn from and a label."""
    return known.where(~F.col("is_blank") & F.col("label").isNotNull())


def is_drawn(ratio: float, seed: int, purpose: str, counts: Mapping[str, int]) -> Column:
    """Whether a row belongs to the part drawn for `purpose`; rows of rare labels never do."""
    rare = [name for name, count in counts.items() if count < RARE_ROWS]
    return is_held_out(F.col("key"), ratio, seed, purpose) & ~F.col("label").isin(rare)


def count_parts(terms: DataFrame, plan: Plan) -> Parts:
    """The sizes of all parts in one pass. Raises InputError for labels that cannot be learned from. Collects at most four rows a
    label."""
    is_usable = ~F.col("is_blank") & F.col("label").isNotNull()
    groups = terms.groupBy(
        F.when(is_usable, F.col("label")).alias("label"),
        F.when(is_usable, is_held_out(F.col("key"), plan.test_ratio, plan.seed, "test")).alias("test"),
        F.when(is_usable, is_held_out(F.col("key"), plan.validation_ratio, plan.seed, "validation")).alias("valid"),
    )
    sizes = (F.count(F.lit(1)).alias("rows"), F.sum(F.size(TERMS)).alias("terms"), F.max(F.size(TERMS)).alias("most"))
    found = groups.agg(*sizes).limit(4 * (MAX_LABELS + 1) + 1).collect()
    used = [row for row in found if row["label"] is not None]
    counts = _checked_counts(_by_label(used))
    rare = {name for name, rows in counts.items() if rows < RARE_ROWS}
    train = [row for row in used if not row["test"] or row["label"] in rare]
    search = [row for row in train if not row["valid"] or row["label"] in rare]
    parts = Parts(
        counts, _by_label(train), _by_label(search), _by_label([row for row in train if row not in search]),
        sum(row["rows"] for row in found) - sum(counts.values()), sum(row["terms"] for row in used),
        max((row["most"] for row in train), default=0),
    )  # fmt: skip
    _check_parts(parts)
    return parts


def label_counts(known: DataFrame) -> dict[str, int]:
    """Rows of each label; refuses what cannot be learned from. Collects at most MAX_LABELS + 1 rows."""
    counted = usable(known).groupBy("label").count().limit(MAX_LABELS + 1)
    return _checked_counts({row["label"]: row["count"] for row in counted.collect()})


def _by_label(rows: Sequence[Row]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row["label"]] += row["rows"]
    return dict(sorted(counts.items()))


def _check_parts(parts: Parts) -> None:
    """Raise InputError for a held-out or training part that has no row or one label, and where no text has a word."""
    held_out = parts.rows - sum(parts.train.values())
    if len(parts.train) < 2 or not held_out:
        raise InputError(
            f"{parts.rows} labelled texts give {len(parts.train)} labels to learn and {held_out} texts to test on; "
            "expected at least 2 labels and 1 text: give more rows, or groups that are smaller"
        )
    if not parts.most_terms:
        raise InputError("no text has a word; expected letters or digits in the text column")


def _checked_counts(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts by label in its order. Raises InputError for labels that cannot be learned from."""
    if len(counts) > MAX_LABELS:
        raise InputError(f"the label column has more than {MAX_LABELS} different values; expected a few labels")
    if len(counts) == 1:
        raise InputError(f"all labelled texts have the label {next(iter(counts))!r}; expected at least two labels")
    if sum(counts.values()) < MIN_ROWS:
        raise InputError(f"found {sum(counts.values())} texts with a label; expected at least {MIN_ROWS}")
    folded: dict[str, str] = {}
    for name in sorted(counts):
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            raise InputError(f"the labels {other!r} and {name!r} differ in case only; make them one")
    return dict(sorted(counts.items()))
