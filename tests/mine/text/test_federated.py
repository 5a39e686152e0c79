"""Training without pooling rows: the step on pooled rows where nothing is clipped, noise otherwise, and what cannot be trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.errors import InputError
from shoal.mine.text import federated
from shoal.mine.text.clipped_updates import block_of, clipped_gradients
from shoal.mine.text.federated import FederatedTraining, Federation, train_federated
from shoal.mine.text.gaussian_mechanism import epsilon_of
from shoal.mine.text.parts import Plan
from shoal.mine.text.plain_terms import terms_of
from shoal.mine.text.split import is_held_out

PLAN = Plan(0.3, 0.2, 100, 1, 1000, [1.0], [0.0], 100, 42, word_ngrams=1, char_ngrams=(0, 0), hash_bits=6)
BARE = Federation(
    epsilon=None, delta=None, rounds=1, clip_norm=100.0, learning_rate=2.0, momentum=0.0, class_weight_power=0.0, min_units=1
)
SCHEMA = "text string, label string, group string, source string, unit string"
GOOD, BAD = ("lovely film", "great cast", "warm sound"), ("dull film", "awful cast", "cold sound")
Rows = list[tuple[str | None, str | None, str | None, str | None, str | None]]


def made_rows() -> Rows:
    """60 texts of 20 people, each in one of two sources; source b has twice the people of a. A third source has two texts."""
    rows: Rows = []
    for i in range(60):
        person, good = i % 20, i % 3 != 0
        text = f"{(GOOD if good else BAD)[i // 3 % 3]} {'really' * (i % 2)}"
        rows.append((text, "good" if good else "bad", f"p{person}", "a" if person % 3 == 0 else "b", f"p{person}"))
    return [*rows, ("dull", "bad", "q1", "c", "q1"), ("great", "good", "q1", "c", "q1")]


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> Callable[[Rows], DataFrame]:
    return lambda rows: spark.createDataFrame(rows, SCHEMA).coalesce(1)


def learned_weights(found: FederatedTraining) -> tuple[np.ndarray, np.ndarray]:
    model = found.training.classifier.pipeline.stages[-1]
    return model.coefficientMatrix.toArray(), model.interceptVector.toArray()


def test_a_round_without_noise_is_the_step_on_all_rows_together(frame: Callable[[Rows], DataFrame]) -> None:
    """By the same gradient of the rows that are not held out, in one block, their terms made by Python; in Spark blocks have 5
    rows."""
    texts = frame(made_rows())
    found = train_federated(texts, PLAN, replace(BARE, block_rows=5))
    held_out = is_held_out(F.coalesce("group", "text"), 0.3, 42, "test")
    rows = texts.where(~held_out).orderBy("unit").toPandas()
    terms = [sorted(int(term[2:]) for term in terms_of(text, PLAN.preprocessing)) for text in rows["text"]]
    units = np.unique(rows["unit"].to_numpy(str), return_inverse=True)[1]
    block = block_of(
        np.array([len(each) for each in terms]), np.concatenate(terms), units, (rows["label"] == "good").to_numpy(int), 64
    )
    pooled = clipped_gradients(block, np.zeros((1, 65)), np.ones(2), 100.0)
    coefficients, intercepts = learned_weights(found)
    assert np.append(coefficients, intercepts) == pytest.approx(-2.0 * pooled.total.ravel() / pooled.units, abs=1e-12)
    of_round = [each for each in found.updates if each.round == 1]
    assert [each.source for each in of_round] == ["a", "b", "c"]
    assert sum(each.rows for each in of_round) == len(rows) == found.training.fitted_rows
    assert {each.source: each.units for each in of_round} == rows.groupby("source")["unit"].nunique().to_dict()
    assert [each.loss for each in of_round] == [pytest.approx(math.log(2))] * 3
    assert {(each.epsilon, each.clipped) for each in of_round} == {(None, 0)}
    assert (found.multiplier, found.epsilon, found.delta) == (0.0, None, None)
    assert found.training.quality.rows == 62 - len(rows)
    assert found.training.thresholds == {}


def test_noise_is_drawn_by_source_and_round_and_epsilon_adds_up(frame: Callable[[Rows], DataFrame]) -> None:
    texts, how = frame(made_rows()), replace(BARE, epsilon=2.0, delta=1e-3, rounds=2, noise_seed=7, min_units=3)
    first, again, other = (train_federated(texts, PLAN, each) for each in (how, how, replace(how, noise_seed=None)))
    assert learned_weights(first)[0].tolist() == learned_weights(again)[0].tolist()
    assert (learned_weights(first)[0] != learned_weights(other)[0]).all()
    # Three releases by each of the two sources that are large enough; the last spends the rest.
    assert [(each.round, each.source) for each in first.updates] == [(n, name) for n in range(3) for name in "ab"]
    assert first.left_out == {"c": 1}
    spent = [each.epsilon for each in first.updates if each.source == "a"]
    assert spent == [epsilon_of(first.multiplier, 1e-3, rounds) for rounds in (1, 2, 3)]
    assert spent[-1] == pytest.approx(2.0, abs=1e-6)
    assert spent[-1] <= 2.0
    # Somebody in both sources spends in both, as by six releases.
    assert first.epsilon_in(2) == pytest.approx(epsilon_of(first.multiplier, 1e-3, 6), abs=1e-9)


def test_noise_at_the_merge_is_added_once(frame: Callable[[Rows], DataFrame]) -> None:
    """The sums that the driver sees are those of a training without noise, the model is not, and the promise is the same."""
    texts, how = frame(made_rows()), replace(BARE, epsilon=2.0, delta=1e-3, noise_seed=7, noise_at="merge")
    bare, noised = train_federated(texts, PLAN, BARE), train_federated(texts, PLAN, how)
    assert [each.norm for each in noised.updates[:3]] == [each.norm for each in bare.updates[:3]]
    moved = np.append(*learned_weights(noised)) - np.append(*learned_weights(bare))
    # A step of 2 over all people: the deviation of the noise in each of 65 weights, within six standard errors.
    deviation = 2.0 * noised.multiplier * how.clip_norm / sum(noised.sources.values())
    assert abs(moved.std() / deviation - 1) < 6 / math.sqrt(2 * 65)
    assert noised.updates[-1].epsilon == pytest.approx(2.0, abs=1e-6)
    # Somebody in two sources is twice as long in the one sum.
    assert noised.epsilon_in(2) == pytest.approx(epsilon_of(noised.multiplier / 2, 1e-3, 2), abs=1e-9)


def test_the_noise_of_a_source_has_the_deviation_said() -> None:
    sums = pd.DataFrame(
        [["a", 3, 2, 1, 0.5, np.full(4000, 1.0).tobytes()], ["a", 5, 4, 0, 1.5, np.full(4000, 2.0).tobytes()]],
        columns=["source", "rows", "units", "clipped", "loss", "total"],
    )
    made = federated._noised(sums, noise=2.5, seed=None, number=1).iloc[0]
    assert (made["rows"], made["units"], made["clipped"], made["loss"]) == (8, 6, 1, 2.0)
    noise = np.frombuffer(made["total"]) - 3.0
    # Standard errors of a mean and a deviation of 4,000 draws, six times.
    assert abs(noise.mean()) < 6 * 2.5 / math.sqrt(4000)
    assert abs(noise.std() - 2.5) < 6 * 2.5 / math.sqrt(8000)

    def drawn(source: str, number: int) -> np.ndarray:
        return np.frombuffer(federated._noised(sums.assign(source=source), 2.5, 7, number).iloc[0]["total"])

    assert (drawn("a", 1) == drawn("a", 1)).all()
    assert (drawn("a", 1) != drawn("b", 1)).all()
    assert (drawn("a", 1) != drawn("a", 2)).all()


def test_one_source_a_source_of_one_label_and_rows_without_person(frame: Callable[[Rows], DataFrame]) -> None:
    rows = [(text, label, group, "a" if label == "good" else None, unit) for text, label, group, _, unit in made_rows()]
    rows += [("great", "good", None, "a", None), ("no words?", None, "p1", "a", "p1"), (" ", "good", "p1", "a", "p1")]
    found = train_federated(frame(rows), PLAN, BARE)
    # Of label bad no source is left: the model says good, as its only source does.
    assert list(found.sources) == ["a"]
    assert found.training.classifier.labels == ("bad", "good")
    assert found.training.quality.f1["bad"] == 0.0
    assert found.training.classifier.priors[1] > 0.5
    learned = sum(each.rows for each in found.updates if each.round == 1)
    # 40 + 1 good texts, 21 + 1 bad ones (without an author), and one without a person; the others are held out.
    assert learned + found.unnamed + found.training.quality.rows == 63


def test_what_cannot_be_trained_is_an_input_error(frame: Callable[[Rows], DataFrame]) -> None:
    texts = frame(made_rows())
    with pytest.raises(InputError, match=r"no source has 50 people to learn from \(min_units\): the largest of 3 has "):
        train_federated(texts, PLAN, replace(BARE, min_units=50))
    with pytest.raises(InputError, match="the largest of 0 has 0, and .* rows name no person or source; unit=text"):
        train_federated(texts.withColumn("unit", F.lit(None).cast("string")), PLAN, BARE)
    with pytest.raises(InputError, match="labels good, mixed: 1 of them occur; expected at least two"):
        train_federated(texts, PLAN, replace(BARE, labels=("good", "mixed")))
    with pytest.raises(InputError, match="all labelled texts have the label 'good'"):
        train_federated(texts.where("label = 'good'"), PLAN, BARE)
