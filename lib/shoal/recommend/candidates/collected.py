"""Small frames on the driver, as Arrow."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import DataFrame


def collect_up_to(rows: DataFrame, most: int, schema: pa.Schema) -> pa.Table | None:
    """The rows, in chunks joined to one a column; None where there are more than `most`, of which one more is collected."""
    batches = rows.limit(most + 1)._collect_as_arrow()
    if sum(batch.num_rows for batch in batches) > most:
        return None
    # Spark marks columns that cannot be null.
    return (pa.Table.from_batches(batches).cast(schema) if batches else schema.empty_table()).combine_chunks()
