"""The lake's posts as models read them."""

from __future__ import annotations

from shoal.lake.lake import Lake
from shoal.mine.posts.from_tables import PostTables

# What read_post_tables reads, for the jobs' READS.
POST_TABLES = ("silver.items", "silver.item_engagement", "silver.users", "silver.interactions", "silver.follows")


def read_post_tables(lake: Lake) -> PostTables:
    """Every table that posts are made from; raises SkippedError where there is no silver.items."""
    return PostTables(lake.read(POST_TABLES[0]), *(lake.read_if_exists(name) for name in POST_TABLES[1:]))
