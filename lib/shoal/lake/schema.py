"""Tables by their contracts: a frame that fits its contract, a table that is made or migrated to it."""

from __future__ import annotations

from datetime import date

from delta.tables import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf.pseudonym_key import key_check_value
from shoal.conf.sections import PrivacyConf
from shoal.errors import ContractError
from shoal.lake.commit import Committer
from shoal.lake.contract import VERSION, Contract, contract
from shoal.lake.log import properties
from shoal.lake.migration import Made, literal, refuse_types, statements

# A lake's tables of records carry the check value of its key, or `none`.
PSEUDONYMS_PROPERTY = "shoal.pseudonyms"
PSEUDONYMISED_LAYERS = ("bronze", "silver")


def conform(made: Contract, rows: DataFrame, run_id: str, on: date | None = None) -> DataFrame:
    """Return `rows` with the contract's columns in its order, as_of and run_id filled in.

    Raises ContractError, naming the columns that are missing, unknown or of another type.
    """
    if on is not None and "as_of" in made.columns and "as_of" not in rows.columns:
        rows = rows.withColumn("as_of", F.lit(on))
    if "run_id" in made.columns:
        rows = rows.withColumn("run_id", F.lit(run_id))
    missing = [n for n in made.columns if n not in rows.columns]
    extra = [n for n in rows.columns if n not in made.columns]
    there = {f.name: f.dataType for f in rows.schema.fields}
    wanted = {f.name: f.dataType for f in made.struct().fields}
    wrong = [
        f"{n} is {there[n].simpleString()}, not {wanted[n].simpleString()}"
        for n in made.columns
        if n in there and there[n].simpleString() != wanted[n].simpleString()
    ]
    if missing or extra or wrong:
        faults = [f"missing {', '.join(missing)}"] * bool(missing) + [f"unknown {', '.join(extra)}"] * bool(extra)
        raise ContractError(f"{made.name}: the frame does not fit its contract: {'; '.join(faults + wrong)}")
    return rows.select(*made.columns)


def current_columns(made: Contract, rows: DataFrame) -> DataFrame:
    """Return a table's rows with the contract's columns in its order; those that the table does not have yet are null.

    Raises ContractError, naming the table, for a column of another type or a missing column that may not be null.
    """
    if rows.columns == list(made.columns):
        return rows
    refuse_types(made, rows.schema)
    lost = [n for n, c in made.columns.items() if n not in rows.columns and not c.null]
    if lost:
        raise ContractError(
            f"{made.name} was made by another version of its contract: it has no {', '.join(lost)}; migrate the table or use a "
            "new --lake"
        )
    nothing = {n: F.lit(None).cast(c.type) for n, c in made.columns.items() if n not in rows.columns}
    return rows.select(*[nothing[n].alias(n) if n in nothing else F.col(n) for n in made.columns])


def create(commits: Committer, name: str, privacy: PrivacyConf | None) -> Contract:
    """Make the table from its contract where it does not exist yet, and return the contract. No Spark job for a local table.
    `privacy`: of the lake; bronze and silver record the check value of its key.

    A table that an older version of the contract made is migrated where that only adds or loosens (`shoal.lake.migration`).
    Raises ContractError, naming the columns, where it cannot be.
    """
    store, made = commits.store, contract(name)
    if store.exists(name):
        if properties(store, name).get(VERSION) != made.version():
            migrate(commits, made)
        return made
    pseudonyms = {PSEUDONYMS_PROPERTY: key_check_value(privacy)} if privacy and made.layer in PSEUDONYMISED_LAYERS else {}
    if store.catalog:
        # By SQL: Delta's builder takes no name of three parts in open-source Spark.
        store.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {store.sql_name(name).rpartition('.')[0]}")
        statement = creation(made, store.sql_name(name), made.table_properties() | pseudonyms)
        commits.commit(name, lambda: store.spark.sql(statement).collect())
        return made
    builder = DeltaTable.createIfNotExists(store.spark).comment(made.grain).location(store.path(name))
    for column, spec in made.columns.items():
        builder = builder.addColumn(column, made.data_type(column), nullable=spec.null, comment=spec.comment)
    for key, value in (made.table_properties() | pseudonyms).items():
        builder = builder.property(key, value)
    if made.partition_by:
        builder = builder.partitionedBy(*made.partition_by)
    if made.cluster_by:
        builder = builder.clusterBy(*made.cluster_by)
    # A path is no table name to Spark while files cannot be named in SQL; the builder needs that for this one call.
    with commits.settings({"spark.sql.runSQLOnFiles": "true"}):
        commits.commit(name, builder.execute)
    return made


def creation(made: Contract, sql_name: str, properties: dict[str, str]) -> str:
    """Return the statement that makes the contract's table under a name of the catalog where it does not exist."""
    columns = []
    for column, spec in made.columns.items():
        null = "" if spec.null else " NOT NULL"
        columns.append(f"`{column}` {made.data_type(column).simpleString()}{null} COMMENT {literal(spec.comment or '')}")
    pairs = ", ".join(f"{literal(key)} = {literal(value)}" for key, value in properties.items())
    parts = [f"PARTITIONED BY ({', '.join(f'`{c}`' for c in made.partition_by)})"] if made.partition_by else []
    parts += [f"CLUSTER BY ({', '.join(f'`{c}`' for c in made.cluster_by)})"] if made.cluster_by else []
    parts += [f"COMMENT {literal(made.grain)}", f"TBLPROPERTIES ({pairs})"]
    return f"CREATE TABLE IF NOT EXISTS {sql_name} ({', '.join(columns)}) USING delta {' '.join(parts)}"


def migrate(commits: Committer, made: Contract) -> None:
    """Bring the table to today's contract, a statement a commit; noted in the run.

    Raises ContractError where rows of the table break a new CHECK, or the table cannot become what the contract says.
    """
    store = commits.store
    rows = store.delta_table(made.name)
    detail = rows.detail().select("partitionColumns", "clusteringColumns").collect()[0]
    there = Made(rows.toDF().schema, properties(store, made.name), detail[0], detail[1] or [])
    todo = statements(made, there)
    if len(todo) > 1 or VERSION in there.properties:
        was = there.properties.get(VERSION, "none")
        commits.run.note(**{f"migrated {made.name}": f"contract {was} to {made.version()}, {len(todo)} statements"})
    for statement in todo:
        try:
            commits.alter(made.name, statement)
        except ContractError as error:
            rule = statement.partition(" ADD CONSTRAINT ")[2]
            if not rule:
                raise
            raise ContractError(
                f"{made.name} was made by another version of its contract: rows in it break the new "
                f"{' '.join(rule.split())}; correct them or use a new --lake"
            ) from error
