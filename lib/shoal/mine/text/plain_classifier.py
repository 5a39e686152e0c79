"""A saved classifier of texts in numpy: the folder of `shoal.mine.text.saved`, scored without Spark, equal to Spark within 1e-9."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from shoal.arrays import Doubles
from shoal.errors import InputError, one_line
from shoal.mine.text.plain_terms import can_make_terms, is_blank, terms_of
from shoal.mine.text.rules import Preprocessing
from shoal.mine.text.spans import weights_by_label

FORMAT = "shoal text classifier 3"


@dataclass(frozen=True)
class Description:
    """What model.json says: see shoal.mine.text.saved; `about` is all of it."""

    labels: tuple[str, ...]
    priors: tuple[float, ...]
    max_text_length: int
    preprocessing: Preprocessing
    about: Mapping[str, Any]


@dataclass(frozen=True)
class Learned:
    """The terms in the order of the columns, and the numbers that were learned: a row of coefficients per label (two labels: one
    row, of the second)."""

    vocabulary: list[str]
    idf: Doubles
    coefficients: Doubles
    intercepts: Doubles


@dataclass(frozen=True)
class PlainClassifier:
    """A classifier that scores without Spark. `place`: term to column."""

    description: Description
    place: Mapping[str, int]
    learned: Learned

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of the probabilities."""
        return self.description.labels

    def probabilities(self, text: str | None) -> Doubles:
        """The probability of each label, sum 1; for a blank text the labels' shares in the training rows. Cost: its characters
        times the lengths of sequences, 0.1 ms for a message."""
        known = self.description
        if is_blank(text):
            return np.asarray(known.priors, np.float64)
        terms = terms_of(str(text)[: known.max_text_length], known.preprocessing)
        columns = np.asarray(sorted(self.place[term] for term in terms if term in self.place), np.int64)
        values = self.learned.idf[columns]
        length = float(np.sqrt(values @ values))
        values = values / length if length else values
        margins = self.learned.coefficients[:, columns] @ values + self.learned.intercepts
        if len(margins) == 1:
            margins = np.asarray([0.0, margins[0]])
        shifted = np.exp(margins - margins.max())
        return np.asarray(shifted / shifted.sum())

    def term_weights(self) -> dict[str, Doubles]:
        """What each term adds to the margin of each label."""
        return weights_by_label(self.labels, self.learned.coefficients, self.learned.idf)


def load_plain_classifier(folder: str | Path) -> PlainClassifier:
    """The classifier of a folder. Raises InputError, one line, for a folder that is none, is damaged, or whose terms only Spark
    makes (a stemmer, stop words)."""
    path = Path(folder)
    found = read_description(path)
    if not can_make_terms(found.preprocessing):
        raise InputError(f"{path.name}: its stems or stop words are made by Spark; train with stemmer and stop_words none")
    learned = read_learned(path)
    return PlainClassifier(found, {term: i for i, term in enumerate(learned.vocabulary)}, learned)


def read_description(folder: Path) -> Description:
    """What model.json of a folder says. Raises InputError, one line, for a folder that is none or another format."""
    try:
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise InputError(f"{folder}: the model's format is {about['format']!r}; expected {FORMAT!r}: train it again")
        labels, priors = tuple(map(str, about["labels"])), tuple(map(float, about["priors"]))
        max_text_length = int(about["max_text_length"])
        made = dict(about["preprocessing"])
        shortest, longest = made.pop("char_ngrams")
        preprocessing = Preprocessing(char_ngrams=(int(shortest), int(longest)), **made)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: no model there (no model.json); `shoal train sentiment --model DIR` makes one") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}/model.json: not the description of a model: {one_line(error)}") from None
    return Description(labels, priors, max_text_length, preprocessing, about)


def read_learned(folder: Path) -> Learned:
    """The vocabulary and the numbers of a folder. Raises InputError, one line, for files that are damaged."""
    try:
        vocabulary: Sequence[str] = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        with np.load(folder / "weights.npz") as numbers:
            learned = Learned(list(vocabulary), numbers["idf"], numbers["coefficients"], numbers["intercepts"])
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(f"{folder}: the model's files are damaged: {one_line(error)}") from None
    if not len(vocabulary) == len(learned.idf) == learned.coefficients.shape[1]:
        counts = f"{len(vocabulary)} terms, {len(learned.idf)} and {learned.coefficients.shape[1]} numbers"
        raise InputError(f"{folder}: the model's files are damaged: {counts}; expected as many")
    return learned
