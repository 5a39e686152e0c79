"""A table that an older contract made: migrated where that only adds or loosens, else refused in one line that says what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import shoal.lake.contract
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from shoal.errors import ContractError, UsageError
from shoal.lake.contract import contract
from shoal.lake.lake import Lake

NAME = "silver.pets"
OLD = """
name: silver.pets
grain: one row per pet
key: [pet_id]
columns:
  pet_id: {type: string, null: false, comment: the pet}
  legs: {type: int, null: false, check: legs >= 0, comment: how many}
  run_id: {type: string, null: false, comment: the run that wrote the row}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A function that makes a text the contract of silver.pets."""
    folder = tmp_path / "contracts"
    folder.mkdir()
    monkeypatch.setattr(shoal.lake.contract, "FOLDER", folder)

    def written(text: str) -> None:
        (folder / f"{NAME}.yaml").write_text(text, encoding="utf-8")
        contract.cache_clear()

    yield written
    contract.cache_clear()


def pets(spark: SparkSession, *rows: tuple[object, ...], fields: str = "pet_id string, legs int") -> DataFrame:
    return spark.createDataFrame(list(rows), fields)


def test_a_new_column_that_may_be_null_comes_into_the_table_with_comment_check_and_property(
    spark: SparkSession, make_lake: Callable[..., Lake], write: Callable[[str], None]
) -> None:
    write(OLD)
    make_lake().append(NAME, pets(spark, ("cat", 4)))
    coat = (
        '  coat: {type: string, check: "coat is null or coat in (\'fur\', \'scales\')", comment: "what it\'s in, e.g. \\"fur\\""}\n'
    )
    new = OLD.replace("  run_id", coat + "  run_id") + "properties:\n  delta.enableChangeDataFeed: 'true'\n"
    new = new.replace("null: false, check: legs >= 0", "check: legs is null or legs >= 0").replace("how many", "number of legs")
    write(new)
    reader = make_lake(run_id="reader")
    assert [tuple(r) for r in reader.read(NAME).collect()] == [("cat", 4, None, "run-1")]  # before any write
    lake = make_lake(run_id="run-2")
    lake.upsert(NAME, pets(spark, ("carp", None, "scales"), fields="pet_id string, legs int, coat string"))
    rows = sorted(tuple(r) for r in make_lake(run_id="later").read(NAME).collect())
    assert rows == [("carp", None, "scales", "run-2"), ("cat", 4, None, "run-1")]
    table = DeltaTable.forPath(spark, lake.path(NAME))
    fields = {f.name: f for f in table.toDF().schema.fields}
    assert list(fields) == ["pet_id", "legs", "coat", "run_id"]
    assert [fields[n].metadata["comment"] for n in ("coat", "legs")] == ['what it\'s in, e.g. "fur"', "number of legs"]
    properties = lake.properties(NAME)
    # Delta puts blanks between the tokens of a CHECK that is added.
    check = properties["delta.constraints.coat_check"]
    assert "".join(check.split()) == "coatisnullorcoatin('fur','scales')"
    assert properties["delta.enableChangeDataFeed"] == "true"
    assert properties["shoal.contract_version"] == contract(NAME).version()
    assert "migrated silver.pets" in lake.run.tags
    with pytest.raises(ContractError, match="coat_check"):
        lake.append(NAME, pets(spark, ("owl", 2, "feathers"), fields="pet_id string, legs int, coat string"))
    before = lake.version(NAME)
    make_lake(run_id="run-3").create(NAME)
    assert lake.version(NAME) == before  # done once


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("type: int", "type: bigint"), r"silver.pets: column legs is int in the table and bigint in the contract"),
        (("  legs: {type: int, null: false, check: legs >= 0, comment: how many}\n", ""), "column legs is not in the contract"),
        (("  run_id", "  age: {type: int, null: false, comment: in years}\n  run_id"), "column age is new and may not be null"),
        (("legs >= 0", "legs >= 5"), r"rows in it break the new `legs_check` CHECK \(legs >= 5\)"),
        (("key: [pet_id]", "key: [pet_id]\npartition_by: [pet_id]"), "partitioned by nothing, the contract says pet_id"),
    ],
)
def test_what_loses_or_tightens_is_refused_and_the_table_stays(
    spark: SparkSession, make_lake: Callable[..., Lake], write: Callable[[str], None], change: tuple[str, str], says: str
) -> None:
    write(OLD)
    make_lake().append(NAME, pets(spark, ("cat", 4)))
    old = contract(NAME).version()
    assert change[0] in OLD
    write(OLD.replace(*change))
    lake = make_lake(run_id="run-2")
    with pytest.raises(ContractError, match=says) as caught:
        lake.create(NAME)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(NAME)
    assert lake.properties(NAME)["shoal.contract_version"] == old
    write(OLD)
    assert [tuple(r) for r in make_lake(run_id="r3").read(NAME).collect()] == [("cat", 4, "run-1")]


def test_a_column_that_may_not_be_null_any_more_is_refused(
    spark: SparkSession, make_lake: Callable[..., Lake], write: Callable[[str], None]
) -> None:
    write(OLD.replace("legs: {type: int, null: false", "legs: {type: int"))
    make_lake().append(NAME, pets(spark, ("cat", 4)))
    write(OLD)
    with pytest.raises(ContractError, match="column legs may be null in the table and not in the contract"):
        make_lake(run_id="r2").create(NAME)


def test_a_reader_of_an_older_table_is_told_its_name(
    spark: SparkSession, make_lake: Callable[..., Lake], write: Callable[[str], None]
) -> None:
    write(OLD)
    make_lake().append(NAME, pets(spark, ("cat", 4)))
    write(OLD.replace("  run_id", "  age: {type: int, null: false, comment: in years}\n  run_id"))
    with pytest.raises(ContractError, match="silver.pets was made by another version of its contract: it has no age"):
        make_lake(run_id="r2").read(NAME)


def test_a_contract_that_is_kept_for_days_says_by_what(write: Callable[[str], None]) -> None:
    write(OLD + "retention_days: 30\n")
    with pytest.raises(UsageError, match="retention_days needs a time_column or an as_of"):
        contract(NAME)
