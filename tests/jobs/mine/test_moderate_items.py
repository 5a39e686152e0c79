"""Decisions of moderators train a model, and what it removes is in no list."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

import pytest
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.conf.sections import Settings
from shoal.errors import SkippedError
from shoal.lake.contract import contract
from shoal.lake.lake import Lake
from shoal.models.decisions import read_decisions
from shoal.models.text_classifiers import judged_texts
from shoal.recommend.ranking.rules import removed_items
from shoal.runner.job import find_job

DAY = date(2024, 3, 1)
SPAM, FINE = "FREE prize!!! claim cash now {}", "a quiet walk along the river {}"


@pytest.fixture
def few() -> Settings:
    return load(sets=["train_sentiment.inverse_penalties=[1]", "train_sentiment.class_weight_powers=[0]"])


def put(lake: Lake, name: str, rows: list[dict[str, object]]) -> None:
    """Rows with these columns, null elsewhere."""
    made = contract(name)
    frame = lake.spark.createDataFrame([tuple(row.values()) for row in rows], ", ".join(
        f"{column} {made.columns[column].type}" for column in rows[0]))  # fmt: skip
    rest = {c: F.lit(None).cast(made.columns[c].type) for c in made.columns if c not in rows[0] and c != "run_id"}
    lake.upsert(name, frame.withColumns({**rest, "source": F.lit("test")}))


def items_of(texts: dict[str, str | None]) -> list[dict[str, object]]:
    return [{"item_id": k, "kind": "post", "text": text, "created_at": datetime(2024, 1, 1)} for k, text in texts.items()]


def test_decisions_train_and_what_is_removed_is_in_no_list(make_lake: Callable[..., Lake], few: Settings) -> None:
    train, judge, lake = find_job("train_moderation"), find_job("moderate_items"), make_lake()
    with pytest.raises(SkippedError):
        train.run(lake, few.train_sentiment, DAY)
    decided = {f"s{i:03}": SPAM.format(i) for i in range(160)} | {f"f{i:03}": FINE.format(i) for i in range(160)}
    undecided = {"new-spam": "Claim your FREE cash prize", "new-fine": "we walk by the river", "blank": " ", "none": None}
    put(lake, "silver.items", items_of({**decided, **undecided}))
    with pytest.raises(SkippedError, match="no champion of moderation"):
        judge.run(lake, few.moderation, DAY)
    verdicts = [{"item_id": k, "verdict": "removed" if k[0] == "s" else "allowed", "decided_at": datetime(2024, 2, 1)}
                for k in decided]  # fmt: skip
    # The newest counts: the first was a mistake.
    verdicts.append({"item_id": "f000", "verdict": "removed", "decided_at": datetime(2024, 1, 15)})
    put(lake, "silver.moderation", verdicts)
    again = make_lake("run-2")
    train.run(again, few.train_sentiment, DAY)
    measured = again.read_current("ops.model_metrics").where("model = 'linear'").collect()
    found = {(r["slice"], r["metric"]): r["value"] for r in measured}
    assert found["all", "macro_f1"] == 1.0
    assert found["label=removed", "precision_from_0.95"] == 1.0

    judge.run(again, few.moderation, DAY)
    rows = {r["item_id"]: r for r in again.read_current("gold.moderation").collect()}
    assert set(rows) == {*decided, *undecided}
    assert {r["category"] for r in rows.values()} == {"removed"}
    assert (rows["new-spam"]["action"], rows["new-fine"]["action"]) == ("remove", "allow")
    assert (rows["blank"]["action"], rows["none"]["action"], rows["none"]["content_hash"]) == ("allow", "allow", None)
    assert rows["new-spam"]["probability"] >= rows["new-spam"]["remove_threshold"] >= rows["new-spam"]["review_threshold"]
    spans = rows["new-spam"]["spans"]
    assert {span["text"] for span in spans} <= {"Claim", "FREE", "cash", "prize"}
    assert all(undecided["new-spam"][s["start"] : s["end"]] == s["text"] and s["weight"] > 0 for s in spans)  # type: ignore[index]
    assert len(spans) == 3
    assert rows["new-fine"]["spans"] == []
    assert (again.run.tags["scored_moderation"], again.run.tags["unchanged_moderation"]) == ("324", "0")

    third = make_lake("run-3")
    judge.run(third, few.moderation, DAY)
    assert (third.run.tags["scored_moderation"], third.run.rows_out) == ("0", {})
    # A moderator has the last word.
    put(third, "silver.moderation", [{"item_id": "new-spam", "verdict": "allowed", "decided_at": datetime(2024, 2, 2)}])
    gone = {r["item_id"] for r in removed_items(read_decisions(again, DAY)).collect()}
    assert gone == {k for k in decided if k[0] == "s"} | {"new-spam"}
    after = {r["item_id"] for r in removed_items(read_decisions(make_lake("run-4"), DAY)).collect()}
    assert after == gone - {"new-spam"}
    assert removed_items(read_decisions(make_lake("run-5"), date(2023, 1, 1))).isEmpty()


def test_decisions_and_labelled_texts_are_learned_from_together(make_lake: Callable[..., Lake]) -> None:
    lake, old, new = make_lake(), datetime(2024, 1, 1), datetime(2024, 2, 20)
    with pytest.raises(SkippedError, match=r"silver\.moderation and silver\.texts do not exist"):
        judged_texts(lake, ["ham", "neither"], DAY)
    labels = {"a": (" Ham ", old), "b": ("hate", new), "c": (None, old), "d": (" ", old), "e": ("neither", new)}
    put(lake, "silver.texts", [{"text_id": k, "kind": "tweet", "text": f"text {k}", "moderation_label": label, "created_at": at}
                               for k, (label, at) in labels.items()])  # fmt: skip

    def known(after: date | None = None) -> set[tuple[str, str]]:
        return {(r["text"], r["label"]) for r in judged_texts(lake, ["ham", "Neither"], DAY, after).collect()}

    texts = {("text a", "allowed"), ("text b", "hate"), ("text e", "allowed")}
    assert known() == texts
    put(lake, "silver.items", items_of({"i": "item i", "j": "item j"}))
    put(lake, "silver.moderation", [{"item_id": "i", "verdict": "removed", "decided_at": old},
                                    {"item_id": "j", "verdict": "allowed", "decided_at": new}])  # fmt: skip
    assert known() == texts | {("item i", "removed"), ("item j", "allowed")}
    assert known(date(2024, 2, 1)) == {("text b", "hate"), ("text e", "allowed"), ("item j", "allowed")}
