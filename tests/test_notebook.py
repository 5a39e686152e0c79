"""The notebook runs from top to bottom on a small lake, in a process of its own, and shows what the tables hold."""

from __future__ import annotations

import ast
import json
import sys
from datetime import date, datetime
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.lake.lake import Lake, Run

from tests.publish.report.literal import rows

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
DAY = date(2024, 3, 31)


@pytest.fixture
def small(spark: SparkSession, tmp_path: Path) -> Path:
    """A lake of two users and two items, with an id that needs quoting in SQL, and nothing compared for drift."""
    lake = Lake(spark, tmp_path / "lake", load(), Run("run-1", "test"))
    at, user = datetime(2024, 3, 30, 12), "o'neil"
    liked = {"event_id": "1", "user_id": user, "item_id": "i1", "event": "like", "occurred_at": at}
    later = {"event_id": "2", "user_id": user, "item_id": "i2", "event": "share", "occurred_at": datetime(2024, 4, 1)}
    lake.upsert("silver.interactions", rows(spark, "silver.interactions", liked, later))
    films = [{"item_id": "i1", "title": "First Light"}, {"item_id": "i2", "title": "Second Sight"}]
    lake.upsert("silver.items", rows(spark, "silver.items", *films))
    lake.replace("features.users", rows(spark, "features.users", {"user_id": user}), on=DAY)
    lake.replace("features.items", rows(spark, "features.items", {"item_id": "i1"}), on=DAY)
    listed = {"user_id": user, "rank": 1, "item_id": "i2", "score": 0.5, "source": "als", "reason_code": "because_like",
              "because_item_id": "i1"}  # fmt: skip
    lake.replace("gold.recommendations", rows(spark, "gold.recommendations", listed), on=DAY)
    scores = [
        {"task": "recommender", "model": model, "slice": "all", "metric": "ndcg@10", "value": value}
        for model, value in (("als", 0.3125), ("popularity", 0.125))
    ]
    lake.replace("ops.model_metrics", rows(spark, "ops.model_metrics", *scores), on=DAY)
    group = {"relation": "follows", "community_id": user, "nodes": 2, "internal_edges": 1, "top_members": [user]}
    tagged = group | {"relation": "hashtags", "name": "#sun #sea", "mean_sentiment": 0.25}
    lake.replace("gold.community_summary", rows(spark, "gold.community_summary", group, tagged), on=DAY)
    people = {
        "gold.influencers": {"user_id": user, "influence_score": 0.625, "reach": 1.0, "engagement": 0.5, "authority": 0.375},
        "gold.node_ranks": {"kind": "follows_coreness", "node_id": user, "score": 2.0, "rank": 1, "percentile": 1.0},
        "gold.viral_posts": {"item_id": "i2", "author_id": user, "probability": 0.8125, "probability_for_author": 0.5},
        "gold.segments": {"user_id": user, "segment_id": 0, "segment_name": "high likes"},
        "gold.anomalies": {"entity_kind": "user", "entity_id": user, "metric": "events", "value": 200.0, "expected": 4.0},
        "gold.trends": {"kind": "hashtag", "topic": "seaside", "users_recent": 30, "expected": 3.0},
    }
    for name, row in people.items():
        lake.replace(name, rows(spark, name, row), on=DAY)
    return lake.root


@pytest.mark.slow
def test_the_notebook_explains_a_lake(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A kernel of this interpreter, whatever kernels the machine has.
    kernel = tmp_path / "kernels" / "shoal-tests"
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "tests", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("SHOAL_LAKE", str(small))
    monkeypatch.delenv("SHOAL_AS_OF", raising=False)
    notebook = nbformat.read(NOTEBOOKS / "explore.ipynb", as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=500, kernel_name="shoal-tests", resources=where).execute()
    shown = "\n".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )
    assert "looking at 2024-03-31" in shown
    assert "user o'neil" in shown
    assert "Second Sight" in shown  # the list's title, by the join
    assert "First Light" in shown  # what the user had done
    assert "because_like" in shown
    assert "0.3125" in shown
    for found in ("#sun #sea", "0.625", "follows_coreness", "0.812", "high likes", "200.0", "seaside"):
        assert found in shown
    assert "not made in this lake: ops.drift" in shown
    assert "share" not in [word for line in shown.splitlines() for word in line.split()]  # nothing after the day
    pictures = [o for cell in notebook.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(pictures) == 10


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda p: p.name)
def test_notebooks_are_kept_without_outputs_and_define_little(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
    source = "\n".join(line for cell in cells for line in cell.source.splitlines() if not line.startswith("%"))
    defined = [n.name for n in ast.walk(ast.parse(source)) if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    assert defined == ["ask"]  # a shorthand for shoal.lake.query; everything else belongs in lib
