"""`shoal graph`: files in, files out, one line for a mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from shoal.cli.app import run

from tests.mine.graph import oracles

TRIANGLES = "a,b\nb,c\nc,a\nd,e\ne,f\nf,d\na,d\n"


def edges_file(folder: Path, header: str, text: str = TRIANGLES) -> str:
    path = folder / "edges.csv"
    path.write_text(f"{header}\n{text}")
    return str(path)


@pytest.mark.parametrize("header", ["src,dst", "source,target", "node_1,node_2", "id_1,id_2", "from,to"])
def test_rank_by_pagerank(spark: SparkSession, tmp_path: Path, header: str) -> None:
    output = tmp_path / "ranks.csv"
    assert run(["graph", "rank", "--edges", edges_file(tmp_path, header), "--output", str(output)]) == 0
    found = pd.read_csv(output)
    assert list(found.columns) == ["node", "score"]
    expected = oracles.page_rank([(line[0], line[2], 1.0) for line in TRIANGLES.split()])
    assert dict(zip(found["node"], found["score"], strict=True)) == pytest.approx(expected, abs=1e-6)
    assert found["score"].is_monotonic_decreasing


def test_rank_from_seeds(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, edges = tmp_path / "ranks.csv", edges_file(tmp_path, "src,dst")
    assert run(["graph", "rank", "--edges", edges, "--seeds", "d", "--output", str(output)]) == 0
    found = dict(pd.read_csv(output).to_numpy().tolist())
    # From d the walk goes round d, e, f: a share of .15 / (1 - .85^3), damped once and twice.
    assert found == pytest.approx({"d": 0.388726, "e": 0.330417, "f": 0.280855, "a": 0, "b": 0, "c": 0}, abs=2e-6)
    capsys.readouterr()
    assert run(["graph", "rank", "--edges", edges, "--seeds", "d,zoe", "--output", str(output)]) == 2
    assert capsys.readouterr().err == "shoal: personalised PageRank: no edge names the seed zoe\n"
    assert run(["graph", "rank", "--edges", edges, "--seeds", "d", "--method", "degree", "--output", str(output)]) == 2


def test_rank_by_degree_adds_weights(spark: SparkSession, tmp_path: Path) -> None:
    output, edges = tmp_path / "ranks.parquet", edges_file(tmp_path, "src,dst,weight", "a,b,2\na,b,0.5\nb,c,\n")
    assert run(["graph", "rank", "--edges", edges, "--method", "degree", "--output", str(output)]) == 0
    assert pd.read_parquet(output).to_numpy().tolist() == [["b", 3.5], ["a", 2.5], ["c", 1.0]]


def test_rank_by_a_measure_says_how_good_it_is(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, edges = tmp_path / "ranks.csv", edges_file(tmp_path, "src,dst")
    assert run(["graph", "rank", "--edges", edges, "--method", "betweenness", "--output", str(output)]) == 0
    # All nine pairs across and none inside a triangle lead through a and d, but for those that start at them: 2 x 3 of 10.
    assert output.read_text().split() == ["node,score", "a,0.6", "d,0.6", "b,0.0", "c,0.0", "e,0.0", "f,0.0"]
    said = json.loads(capsys.readouterr().out)
    assert (said["method"], said["engine"], said["nodes"]) == ("betweenness", "local", 6)
    assert said["betweenness_from"] == "6 of 6 nodes, error at most 0"


@pytest.mark.parametrize("method", ["leiden", "louvain"])
def test_communities(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str) -> None:
    output = tmp_path / "communities.jsonl"
    edges = edges_file(tmp_path, "src,dst")
    assert run(["graph", "communities", "--edges", edges, "--method", method, "--output", str(output)]) == 0
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert rows == [{"node": n, "community": "a" if n in "abc" else "d"} for n in "abcdef"]
    said = json.loads(capsys.readouterr().out)
    assert (said["communities"], said["nodes"], said["engine"]) == (2, 6, "local")
    assert said["modularity"] == pytest.approx(2 * (3 / 7 - 0.25))


def test_labels_is_label_propagation_and_the_engine_can_be_named(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edges, output = edges_file(tmp_path, "src,dst"), tmp_path / "c.csv"
    command = ["graph", "communities", "--edges", edges, "--output", str(output)]
    found = []
    for method in ("labels", "label_propagation"):
        assert run([*command, "--method", method, "--engine", "spark"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["method"], said["engine"]) == (method, "spark")
        found.append(output.read_text())
    assert found[0] == found[1]
    assert run([*command, "--method", "leiden", "--engine", "spark"]) == 2
    assert "leiden runs on the driver only; use --method louvain" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("header", "text", "code", "message"),
    [
        ("a,b", "x,y\n", 3, "src"),
        ("src,dst,weight", "x,y,-2\n", 3, "edges.csv: edge x -> y: weight -2.0; expected 0 to 1e100"),
        ("src,dst,weight", "x,y,heavy\n", 3, "edges.csv: edge x -> y: the weight is not a number"),
        ("src,dst", "x,\n", 3, r"edges.csv: edge x -> (null): an id is empty"),
    ],
)
def test_a_mistake_is_one_line(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str, text: str, code: int, message: str
) -> None:
    arguments = ["graph", "rank", "--edges", edges_file(tmp_path, header, text), "--output", str(tmp_path / "r.csv")]
    assert run(arguments) == code
    reported = capsys.readouterr().err
    assert message in reported
    assert reported.count("\n") == 1
    assert not (tmp_path / "r.csv").exists()
