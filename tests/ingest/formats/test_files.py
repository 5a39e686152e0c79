"""Files in and out: exact rows, one line for every fault."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.errors import InputError, TransientError, UsageError
from shoal.ingest.formats import files
from shoal.ingest.formats.files import check_output, read_rows, write_rows


def rows_of(spark: SparkSession, path: Path, *args: object, **kwargs: object) -> list[tuple[object, ...]]:
    return [tuple(row) for row in read_rows(spark, path, *args, **kwargs).collect()]  # type: ignore[arg-type]


def put(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def fault(spark: SparkSession, path: Path, columns: list[str]) -> str:
    with pytest.raises(InputError) as caught:
        read_rows(spark, path, columns)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_csv_columns_are_matched_by_name_renamed_and_kept_in_order(spark: SparkSession, tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "movieId,extra,userId\nm1,x,u1\nm2,,u2\n")
    df = read_rows(spark, path, ["user_id", "item_id"], ["rating"], {"user_id": ["userId"], "item_id": ["movieId"]})
    assert df.columns == ["item_id", "extra", "user_id", "rating"]
    assert [tuple(r) for r in df.collect()] == [("m1", "x", "u1", None), ("m2", None, "u2", None)]


def test_known_names_are_matched_without_case_and_signs_and_a_users_own_to_the_letter(spark: SparkSession, tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "UserID,MOVIE-ID,user_id,Movie Title\nu,m,other,t\n")
    known = {"item_id": ["movieId"], "user": ["userId"], "title": ["movie_title"]}
    assert read_rows(spark, path, ["item_id", "title"], [], known).columns == ["UserID", "item_id", "user_id", "title"]
    # To the letter goes first.
    assert read_rows(spark, path, ["user_id"], [], {"user_id": ["userId"]}).columns[2] == "user_id"
    assert read_rows(spark, path, ["user", "item_id"], [], known).columns[:2] == ["user", "item_id"]
    with pytest.raises(InputError, match="no column 'userid'; found UserID"):
        read_rows(spark, path, ["userid"])


def test_quotes_line_breaks_bom_crlf_blank_lines_and_nul(spark: SparkSession, tmp_path: Path) -> None:
    text = '\ufeff"a",b\r\n"one ""two""\r\nthree, four",x\r\n\r\n" pad ",y\0\r\nשלום 🎉,\u2028\r\nlast,"l"'
    assert rows_of(spark, put(tmp_path / "a.csv", text), ["a", "b"]) == [
        ('one "two"\r\nthree, four', "x"),
        (" pad ", "y"),
        ("שלום 🎉", "\u2028"),
        ("last", "l"),
    ]


def test_tsv_gzip_and_bytes_of_another_encoding(spark: SparkSession, tmp_path: Path) -> None:
    path = put(tmp_path / "a.tsv.gz", gzip.compress(b"a\tb\nx\ty\ncaf\xe9\t1,2\n"))
    assert fault(spark, path, ["a", "b"]) == (
        f"{path}:3: byte 0xe9 at 3; expected UTF-8; of another encoding: --set encoding=windows-1252"
    )
    conf = load("local", ["ingest.encoding=windows-1252"]).ingest
    assert rows_of(spark, path, ["a", "b"], conf=conf) == [("x", "y"), ("café", "1,2")]


def test_a_file_is_read_by_the_settings_of_ingest(spark: SparkSession, tmp_path: Path) -> None:
    graph = put(tmp_path / "snap.txt", "# Directed graph\n# FromNodeId\tToNodeId\n0\t1\n# more\n007\t\\N\n")
    sets = ["delimiter=\t", "comment=#", "header=[src, dst]", "null=\\N"]
    assert rows_of(spark, graph, ["src", "dst"], conf=load("local", sets, "ingest").ingest) == [("0", "1"), ("007", None)]
    books = put(tmp_path / "b.dat", 'id;name\n1;"say \\"hi\\""\n')
    conf = load("local", ["delimiter=;", "escape=\\", "column_mapping.title=name"], "ingest").ingest
    assert rows_of(spark, books, ["title"], conf=conf) == [("1", 'say "hi"')]
    with pytest.raises(UsageError, match="--set column_mapping.title: no such column is read here; there are id"):
        read_rows(spark, books, ["id"], conf=conf)
    document = put(tmp_path / "a.json", '[\n{"a": 1, "x=y!": [2]},\n{"a": "é"}\n]')
    assert [row.asDict() for row in read_rows(spark, document, ["a"]).collect()] == [
        {"a": "1", "x=y!": "[2]"}, {"a": "é", "x=y!": None},
    ]  # fmt: skip


def test_json_lines_keep_digits_and_nested_values(spark: SparkSession, tmp_path: Path) -> None:
    lines = ['{"a": 1.50, "b": [1, "é"]}', "", '{"b": null, "c": true, "a": "x\\u0000"}', '{"a": "\\ud83d"}']
    df = read_rows(spark, put(tmp_path / "a.jsonl", "\r\n".join(lines)), ["a"])
    assert df.columns == ["a", "b", "c"]
    expected = [("1.50", '["1", "é"]', None), ("x", None, "true"), ("?", None, None)]
    assert [tuple(r) for r in df.collect()] == expected


def test_parquet_known_columns_are_text_and_others_keep_their_type(spark: SparkSession, tmp_path: Path) -> None:
    pq.write_table(pa.table({"userId": [1, 2], "n": [0.5, None], "l": [["x"], []]}), tmp_path / "a.parquet")
    df = read_rows(spark, tmp_path / "a.parquet", ["user_id"], ["l"], {"user_id": ["userId"]})
    assert [tuple(r) for r in df.collect()] == [("1", 0.5, '["x"]'), ("2", None, "[]")]


def test_folder_matches_by_name_file_by_file_in_name_order(spark: SparkSession, tmp_path: Path) -> None:
    put(tmp_path / "1.csv", "a,b\na1,b1\n")
    put(tmp_path / "2.csv", "b,a,c\nb2,a2,c2\n")
    put(tmp_path / "3.csv", "")
    put(tmp_path / "_SUCCESS", "x")
    assert rows_of(spark, tmp_path, ["a", "b"]) == [("a1", "b1", None), ("a2", "b2", "c2")]


def test_parts_hold_every_record_once_and_in_order(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MIN_PART_BYTES", 300)
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["i", "t"])
        writer.writerows((i, f'é"{i}\n' * (i % 7)) for i in range(400))
    df = read_rows(spark, path, ["i", "t"])
    assert df.rdd.getNumPartitions() > 8
    assert [tuple(r) for r in df.collect()] == [(str(i), f'é"{i}\n' * (i % 7) or None) for i in range(400)]
    objects = "\n".join(json.dumps({"i": i, "t": "x" * (i % 5)}) for i in range(400))
    df = read_rows(spark, put(tmp_path / "a.jsonl", objects), ["i", "t"])
    assert df.rdd.getNumPartitions() > 8
    assert [tuple(r) for r in df.collect()] == [(str(i), "x" * (i % 5) or None) for i in range(400)]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "", ": the file is empty"),
        ("a.csv", "\n\n", ": the file is empty"),
        ("a.csv", "a,b\n", ": a header but no row"),
        ("a.csv", "a;b\n1;2\n", ": no column 'a'; found a;b; the delimiter looks like ';': --set delimiter=';'"),
        ("a.csv", "b,c\n1,2\n", ": no column 'a'; found b, c"),
        ("a.csv", "a,b,A\n1,2,3\n", ":1: two columns are called 'A'"),
        ("a.csv", 'a,b\n"1\n1",2\n3\n', ":4: found 1 field, expected 2"),
        ("a.csv", "a,b\n1,2,3\n", ":2: found 3 fields, expected 2"),
        ("a.csv", 'a,b\n1,2\n3,"open\n4,5\n', ":3: a quote opens and is never closed"),
        ("a.csv", 'a,b\n1,"x"y\n', ":2: text follows a closing quote"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16"), ":1: the file is UTF-16"),
        ("a.csv.gz", b"a,b\n1,2\n", ": cannot be read: Not a gzipped file"),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], ": the zipped file breaks off here"),
        ("a.jsonl", '{"a": 1}\n[1]\n', ":2: found a JSON list"),
        ("a.jsonl", '{"a": 1}\n{"a"', ":2: not JSON"),
        ("a.jsonl", '{"b": 1}\n', ": no column 'a'"),
        ("a.jsonl", '{"a b": 1, "AB": 2}\n', ":1: not an object as expected: ValueError the names 'a b' and 'AB' are one"),
        ("a.parquet", "PAR1 no", ": not a Parquet file"),
        ("a.xlsx", "PK", ": unknown ending; expected one of .csv"),
    ],
)
def test_a_fault_is_one_line(spark: SparkSession, tmp_path: Path, name: str, content: str | bytes, expected: str) -> None:
    message = fault(spark, put(tmp_path / name, content), ["a"])
    assert message.startswith(str(tmp_path / name))
    assert expected in message.replace("a.csv.gz:2:", "a.csv.gz:")


def test_faults_of_paths_and_folders(spark: SparkSession, tmp_path: Path) -> None:
    assert "no such file" in fault(spark, tmp_path / "none.csv", ["a"])
    assert "no file in it ends in .csv" in fault(spark, tmp_path, ["a"])
    put(tmp_path / "1.csv", "a\n1\n")
    put(tmp_path / "2.csv", "b\n1\n")
    assert f"{tmp_path / '2.csv'}: no column 'a'" in fault(spark, tmp_path, ["a"])
    pq.write_table(pa.table({"a": [1]}), tmp_path / "3.parquet")
    assert "mixes Parquet with text" in fault(spark, tmp_path, ["a"])
    pq.write_table(pa.table({"a": pa.array([], pa.string())}), tmp_path / "empty.parquet")
    assert "no row" in fault(spark, tmp_path / "empty.parquet", ["a"])


def test_objects_whose_names_are_ids_are_no_table(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_COLUMNS", 3)
    path = put(tmp_path / "a.jsonl", '{"a": 1, "b": 2}\n{"b": 1, "c": 2}\n{"d": 3}\n')
    assert ":3: " in fault(spark, path, ["a"])
    assert "more than 3 names so far; expected objects of the same few" in fault(spark, path, ["a"])


def test_ten_megabytes_of_text_are_one_row(spark: SparkSession, tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "a,b\n" + "x" * 10_000_000 + ",1\n")
    assert read_rows(spark, path, ["a"]).select(F.length("a"), "b").first()[:] == (10_000_000, "1")


NASTY = [
    ("plain", 'quote " and, comma', "line\nbreak"),
    (" pad ", "cr\rin", "tab\tin"),
    (None, "", '"'),
    ("#hash", "back\\slash", "\\"),
    ("emoji 🎉", "עברית", '\\"'),
]


@pytest.mark.parametrize("name", ["o.csv", "o.tsv", "o.csv.gz", "o.jsonl", "o.jsonl.gz", "o.parquet"])
def test_what_is_written_is_what_is_read(spark: SparkSession, tmp_path: Path, name: str) -> None:
    df = spark.createDataFrame(NASTY, 'a string, `b.c` string, `d "e"` string').repartition(3)
    expected = [tuple(r) for r in df.collect()]
    write_rows(df, tmp_path / name)
    found = rows_of(spark, tmp_path / name, ["a"])
    blank = "" if name == "o.parquet" else None
    assert found == [tuple(v or (blank if v == "" else v) for v in row) for row in expected]
    assert [p.name for p in tmp_path.iterdir()] == [name]
    if name == "o.csv":
        with (tmp_path / name).open(newline="", encoding="utf-8") as text:
            assert next(csv.reader(text)) == ["a", "b.c", 'd "e"']


@pytest.mark.parametrize("folder", ["a b", "x[1]", "{a,b} *?%20é"])
def test_names_are_no_patterns(spark: SparkSession, tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    for name in ("o.csv", "o.parquet"):
        write_rows(spark.sql("select 'x' a"), tmp_path / folder / name)
        assert rows_of(spark, tmp_path / folder / name, ["a"]) == [("x",)]
    assert sorted(p.name for p in (tmp_path / folder).iterdir()) == ["o.csv", "o.parquet"]


def test_nested_columns_are_json_in_csv_and_no_rows_are_a_header(spark: SparkSession, tmp_path: Path) -> None:
    write_rows(spark.sql("select array(1, 2) l, map('k', 0.5D) m, 1.5D x"), tmp_path / "o.csv")
    assert (tmp_path / "o.csv").read_text() == 'l,m,x\n"[1,2]","{""k"":0.5}",1.5\n'
    empty = spark.createDataFrame([], "a string, b int")
    write_rows(empty, tmp_path / "o.csv")
    assert (tmp_path / "o.csv").read_text() == "a,b\n"
    write_rows(empty, tmp_path / "e.parquet")
    assert pq.read_schema(tmp_path / "e.parquet").names == ["a", "b"]


def test_output_faults_are_one_line_and_leave_what_was_there(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, expected in [("no/o.csv", "does not exist"), ("o.txt", "expected a name that ends"), (".", "name")]:
        with pytest.raises(UsageError, match=expected):
            check_output(tmp_path / name)
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        check_output(tmp_path / "d.csv")
    put(tmp_path / "o.csv", "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_join_text", full)
    with pytest.raises(TransientError, match="no space left"):
        write_rows(spark.range(3), tmp_path / "o.csv")
    assert (tmp_path / "o.csv").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.csv", "o.csv"]


def test_real_files(spark: SparkSession, data: Path) -> None:
    expected = {
        "davidson_hate_offensive/data/labeled_data.csv": 24783,
        "fivethirtyeight_twitter_ratio/realDonaldTrump.csv": 3232,
        "amazon_fine_food_5k/Reviews.csv": 5003,
    }
    aliases = {"text": ["tweet", "Text"]}
    # One byte of the second file is not UTF-8.
    western = load("local", ["ingest.encoding=windows-1252"]).ingest
    found = {n: read_rows(spark, data / n, ["text"], aliases=aliases, conf=western).count() for n in expected}
    assert found == expected
