"""Models in the lake's own MLflow store."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from shoal.errors import UsageError
from shoal.lake.lake import Lake
from shoal.models import registry as models
from shoal.models.registry import Model, champion, record_run, register, retire, roll_back, set_champion, versions

INPUTS, OUTPUTS = {"text": "string"}, {"label": "string"}


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., Model]:
    """A function that registers a one-file model whose content is its metric."""

    def kept(lake: Lake, value: float, name: str = "shoal_thing", **more: object) -> Model:
        folder = tmp_path / f"files-{value}"
        (folder / "deep").mkdir(parents=True, exist_ok=True)
        (folder / "deep" / "weights.txt").write_text(str(value))
        return register(lake, name, folder, metric="ndcg@10", metrics={"ndcg@10": value, "other": 1.0},
                        params={"rank": 8, "reg": 0.1}, inputs=INPUTS, outputs=OUTPUTS, **more)  # type: ignore[arg-type] # fmt: skip

    return kept


def weights(model: Model) -> str:
    return (model.folder / "deep" / "weights.txt").read_text()


def test_champion_moves_only_when_better_and_moves_with_the_lake(
    make_lake: Callable[..., Lake], keep: Callable[..., Model], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lake = make_lake()
    lake.run.input_versions["silver.texts"] = 7
    assert champion(lake, "shoal_thing") is None
    assert not (lake.root / "mlflow.db").exists()  # asking makes nothing
    first = keep(lake, 0.5)
    assert (first.version, first.is_champion, first.label) == ("1", True, "shoal_thing/1")
    worse = keep(lake, 0.4)
    assert (worse.version, worse.is_champion) == ("2", False)
    held = champion(lake, "shoal_thing")
    assert held == first
    assert held is not None
    assert weights(held) == "0.5"
    assert held.metrics == {"ndcg@10": 0.5, "other": 1.0}
    assert held.params == {"rank": "8", "reg": "0.1"}
    assert champion(lake, "shoal_other") is None

    # The champion evaluated on the new test data is worse than its record says: 0.4 is enough now. Equal is not. The same training
    # again is the same version.
    asked: list[str] = []
    assert not keep(lake, 0.4, judge=lambda rival: 0.4).is_champion
    assert not keep(lake, 0.4, beats=lambda rival: False).is_champion
    again = keep(lake, 0.4, judge=lambda rival: asked.append(weights(rival)) or 0.39)
    assert asked == ["0.5"]
    assert (again.version, again.is_champion) == ("2", True)
    assert keep(lake, 0.4).version == "2"
    assert not keep(lake, float("nan")).is_champion
    lower = keep(lake, 0.3, higher_is_better=False)
    assert lower.is_champion

    with models._store(lake) as client:
        found = client.get_model_version("shoal_thing", "1")
        tags = client.get_run(found.run_id).data.tags
    assert (tags["input.silver.texts"], tags["shoal.run_id"]) == ("7", "run-1")
    description = (first.folder.parent / "MLmodel").read_text()
    assert '"name": "text"' in description
    assert '"name": "label"' in description

    moved = make_lake(root=Path(shutil.move(lake.root, tmp_path / "moved")))
    after = champion(moved, "shoal_thing")
    assert after is not None
    assert weights(after) == "0.3"
    shutil.rmtree(after.folder)
    assert keep(moved, 0.9, higher_is_better=False).is_champion  # worse, but the other's files are gone
    assert capfd.readouterr().out == ""


def test_a_copied_lake_is_one_of_its_own(make_lake: Callable[..., Lake], keep: Callable[..., Model], tmp_path: Path) -> None:
    """Models of a copy are read, listed and registered in the copy, with and without the original."""
    original = make_lake()
    keep(original, 0.5)
    copied = make_lake(root=Path(shutil.copytree(original.root, tmp_path / "a copy")))
    before = sorted(path.relative_to(original.root) for path in original.root.rglob("*"))
    held = champion(copied, "shoal_thing")
    assert held is not None
    assert (weights(held), held.folder.is_relative_to(copied.root)) == ("0.5", True)
    better = keep(copied, 0.7)
    assert (better.is_champion, weights(better), better.folder.is_relative_to(copied.root)) == (True, "0.7", True)
    assert sorted(path.relative_to(original.root) for path in original.root.rglob("*")) == before
    shutil.rmtree(original.root)
    assert weights(keep(copied, 0.9)) == "0.9"
    with models._store(copied) as client:
        # What MLflow itself lists and loads, the runs of the original too.
        for number in ("1", "2", "3"):
            version = client.get_model_version("shoal_thing", number)
            assert version.source.startswith((copied.root / "mlruns").as_uri())
            files = client.download_artifacts(version.run_id, f"{models.ARTIFACT}/files", str(tmp_path))
            assert (Path(files) / "deep" / "weights.txt").is_file()
    assert weights(set_champion(copied, "shoal_thing", "1")) == "0.5"
    now = champion(copied, "shoal_thing")
    assert now is not None and now.version == "1"
    with pytest.raises(UsageError, match="there is no version 9"):
        set_champion(copied, "shoal_thing", "9")


def test_a_retired_champion_serves_no_more_and_the_same_training_serves_anew(
    make_lake: Callable[..., Lake], keep: Callable[..., Model]
) -> None:
    lake = make_lake()
    keep(lake, 0.5)
    assert keep(lake, 0.7).is_champion
    assert retire(lake, lambda file: file.name == "weights.txt" and file.read_text() == "0.7") == ["shoal_thing/2"]
    assert champion(lake, "shoal_thing") is None
    again = keep(lake, 0.7)
    assert (again.is_champion, again.version, weights(again)) == (True, "3", "0.7")


def test_a_run_without_a_model_is_recorded_once(make_lake: Callable[..., Lake]) -> None:
    metrics = {"ndcg@10": 0.25, "no_history.ndcg@10": None, "lost": float("nan")}
    first = record_run(make_lake(), "evaluate als", metrics, {"rank": 8}, {"shoal.model": "als"})
    assert record_run(make_lake("run-2"), "evaluate als", metrics, {"rank": 8}, {"shoal.model": "als"}) == first
    assert record_run(make_lake("run-3"), "evaluate als", metrics, {"rank": 9}, {"shoal.model": "als"}) != first
    with models._store(make_lake()) as client:
        run = client.get_run(first)
    assert (run.data.metrics, run.data.params) == ({"ndcg_at_10": 0.25}, {"rank": "8"})
    assert (run.info.status, run.data.tags["shoal.model"], run.data.tags["shoal.run_id"]) == ("FINISHED", "als", "run-1")


def test_the_way_back_goes_step_by_step(make_lake: Callable[..., Lake], keep: Callable[..., Model]) -> None:
    lake = make_lake()
    with pytest.raises(UsageError, match="shoal_thing: no model was registered in this lake"):
        roll_back(lake, "shoal_thing")
    assert versions(lake, "shoal_thing") == []
    for value in (0.5, 0.6, 0.55, 0.7):
        keep(lake, value)
    # The third lost; one that is not to be promoted is not, however good it is.
    assert not keep(lake, 0.9, promotes=False).is_champion
    assert [(each.number, each.replaced, each.is_champion) for each in versions(lake, "shoal_thing")] == [
        ("5", None, False), ("4", "2", True), ("3", None, False), ("2", "1", False), ("1", None, False),
    ]  # fmt: skip
    assert [weights(roll_back(lake, "shoal_thing")) for _ in range(2)] == ["0.6", "0.5"]
    with pytest.raises(UsageError, match="shoal_thing/1 replaced no version that the registry knows of; name one: --to VERSION"):
        roll_back(lake, "shoal_thing")
    assert weights(set_champion(lake, "shoal_thing", "5")) == "0.9"
    held = roll_back(lake, "shoal_thing")
    assert (held.version, held.is_champion, weights(held)) == ("1", True, "0.5")
    set_champion(lake, "shoal_thing", "2")
    shutil.rmtree(held.folder)
    with pytest.raises(UsageError, match="shoal_thing/1: its files are gone; name another version"):
        roll_back(lake, "shoal_thing")
