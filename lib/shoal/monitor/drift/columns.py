"""Which columns can be compared, and as what.

Numbers: integers, floats and decimals as they are (as float64: integers beyond 2^53 lose their last digits), booleans as
0 and 1, dates as days and timestamps as seconds since 1970-01-01 UTC. Categories: strings. Arrays, maps, structs and binary
columns are not compared: a job turns them into a number or a category (a length, a first element) where they matter.
"""

from __future__ import annotations

from collections.abc import Collection

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    NumericType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

NUMBER = "number"
CATEGORY = "category"
# A category is a name. A text of megabytes in its place is cut, with its hash behind it to keep two texts apart.
MAX_CATEGORY_LENGTH = 128
_KEPT_LENGTH = 80


def kind_of(data_type: DataType) -> str | None:
    """`number`, `category`, or None for a type that is not compared."""
    if isinstance(data_type, StringType):
        return CATEGORY
    numbers = (NumericType, BooleanType, DateType, TimestampType, TimestampNTZType)
    return NUMBER if isinstance(data_type, numbers) else None


def column_kinds(schema: StructType, excluded: Collection[str] = ()) -> dict[str, str]:
    """Column to `number` or `category`, in the schema's order, without the excluded and the not comparable ones."""
    kinds = {field.name: kind_of(field.dataType) for field in schema.fields if field.name not in excluded}
    return {name: kind for name, kind in kinds.items() if kind is not None}


def as_number(column: Column, data_type: DataType) -> Column:
    """The column as float64 by the rule of this module; null stays null, NaN stays NaN."""
    if isinstance(data_type, DateType):
        return F.datediff(column, F.lit("1970-01-01").cast("date")).cast("double")
    if isinstance(data_type, TimestampNTZType):
        return column.cast("timestamp").cast("double")
    return column.cast("double")


def as_category(column: Column) -> Column:
    """The string itself; one of more than 128 code points becomes its first 80 and the MD5 of the whole."""
    cut = F.concat(F.substring(column, 1, _KEPT_LENGTH), F.lit("..."), F.md5(column))
    return F.when(F.length(column) > MAX_CATEGORY_LENGTH, cut).otherwise(column)


def select_comparable(rows: DataFrame, kinds: dict[str, str]) -> DataFrame:
    """The columns of `kinds` in its order, numbers as float64 and categories as short strings. No shuffle."""
    types = {field.name: field.dataType for field in rows.schema.fields}
    return rows.select(
        *(
            (as_number(rows[f"`{name}`"], types[name]) if kind == NUMBER else as_category(rows[f"`{name}`"])).alias(name)
            for name, kind in kinds.items()
        )
    )
