"""What the people of a user's groups met more than everybody did: a part of the blend, and candidates of its own.

A group is one value of one attribute of profiles (country=pt, age_group=25-34). Of a group g and an item i let n be the
preferences of the group's users for the item, and e the number that would be expected if the group met items as everybody does:
the group's preferences times the item's share of all preferences. Then the group's liking is

    log((n + PRIOR) / (e + PRIOR)),

the logarithm of the observed over the expected number, both shrunk towards each other by a constant (Noren, Hopstadius and Bate,
"Shrinkage observed-to-expected ratios for robust and transparent large-scale pattern discovery", Statistical Methods in Medical
Research 22, 2013; there it is 1/2): a small group, or an item of few preferences, says nothing. Several groups of a user add up, as
if attributes were independent given the item (naive Bayes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from shoal.arrays import Floats, Ints
from shoal.recommend.candidates.histories import Catalogue, with_places
from shoal.recommend.candidates.preferences import liked
from shoal.recommend.ranking.rules import named_attribute

# silver.profiles has the first three; a file of users (`shoal evaluate recommender --users`) may have the others too.
ATTRIBUTES = ("country", "language", "age_group", "gender", "occupation")
# Groups that count are the largest of all attributes, of so many users at least: a model's file holds what a group met, which must
# not be what one person met.
MAX_GROUPS, MIN_USERS = 500, 5
# Pairs of group and item on the driver, 8 bytes each: with more items the smallest groups are excluded.
MAX_PAIRS = 8_000_000
# Preferences that a group's liking of an item is damped by, as a mean rating is by five ratings.
PRIOR = 5.0


@dataclass(frozen=True)
class UserGroups:
    """`names`: attribute=value of each group, the one of most users first; `members`: user_id, `groups` (array<int>: places in
    `names`, ascending), of the users who are in any."""

    names: tuple[str, ...]
    members: DataFrame


def profiles_before(profiles: DataFrame | None, moment: int | None) -> DataFrame | None:
    """The rows of silver.profiles described up to `moment` (microseconds since 1970), or without a time: country, language and age
    group are taken as facts of the person that no event changed. Without a moment, as they are."""
    if profiles is None or moment is None:
        return profiles
    return profiles.where(F.col("described_at").isNull() | (F.unix_micros("described_at") <= F.lit(moment)))


def user_groups(profiles: DataFrame | None) -> UserGroups | None:
    """The groups of at least MIN_USERS users, the MAX_GROUPS largest (ties: by name); None without profiles or such a group.

    `profiles`: user_id (unique) and any of ATTRIBUTES. Values without regard to case and blanks around; of a value of over 100
    characters the first 100. Cost: a shuffle by group; collects MAX_GROUPS names at most.
    """
    if profiles is None:
        return None
    sizes = _memberships(profiles).groupBy("group").agg(F.count(F.lit(1)).alias("users")).where(F.col("users") >= MIN_USERS)
    names = tuple(row["group"] for row in sizes.orderBy(F.desc("users"), "group").limit(MAX_GROUPS).collect())
    return UserGroups(names, members_of(profiles, names)) if names else None


def members_of(profiles: DataFrame, names: Sequence[str]) -> DataFrame:
    """`UserGroups.members` by the `names` of a model that was fitted before. Cost: a broadcast of the names, a shuffle by user."""
    numbers = profiles.sparkSession.createDataFrame(list(zip(names, range(len(names)), strict=True)), "group string, number int")
    found = _memberships(profiles).join(F.broadcast(numbers), "group")
    return found.groupBy("user_id").agg(F.array_sort(F.collect_set("number")).alias("groups"))


def _memberships(profiles: DataFrame) -> DataFrame:
    """user_id, group: a row for each attribute that is known."""
    known = [F.substring(named_attribute(name), 1, 100) for name in ATTRIBUTES if name in profiles.columns]
    if not known:
        return profiles.select("user_id", F.lit(None).cast("string").alias("group")).limit(0)
    rows = profiles.select("user_id", F.explode(F.array(*known)).alias("group"))
    return rows.where("user_id is not null and group is not null")


def group_counts(preferences: DataFrame, catalogue: Catalogue, groups: UserGroups | None, max_history: int) -> csr_matrix | None:
    """Groups x items, float32: how many of the newest `max_history` preferences of each of a group's users are for the item; None
    without groups.

    `preferences`: as for `histories`; what weighs 0 does not count. Groups beyond MAX_PAIRS / items have none. Cost: a shuffle by
    user, a join by user with the members, a shuffle by group and item; collects a row a pair, MAX_PAIRS at most.
    """
    if groups is None:
        return None
    shape = (len(groups.names), len(catalogue))
    most = max(1, MAX_PAIRS // max(1, len(catalogue)))
    met = liked(with_places(preferences, max_history)).join(F.broadcast(catalogue.numbers), "item_id").select("user_id", "item")
    rows = met.join(groups.members, "user_id").select("item", F.explode("groups").alias("group")).where(F.col("group") < most)
    counted = rows.groupBy("group", "item").agg(F.count(F.lit(1)).cast("float").alias("count"))._collect_as_arrow()
    if not counted:
        return csr_matrix(shape, dtype=np.float32)
    table = pa.Table.from_batches(counted)
    group, item, count = (table.column(name).to_numpy() for name in ("group", "item", "count"))
    return csr_matrix((count, (group, item)), shape=shape, dtype=np.float32)


def liking_of(counts: csr_matrix, shares: Floats, groups: Ints) -> Floats:
    """For each item the sum of the `groups`' likings, 0 where they are empty. `counts`: see `group_counts`; `shares`: each item's
    share of all preferences."""
    found = np.zeros(len(shares), np.float32)
    for group in groups:
        here = slice(counts.indptr[group], counts.indptr[group + 1])
        # A group without a preference that counts expects none, and adds 0.
        found -= np.log1p(shares * np.float32(counts.data[here].sum(dtype=np.float64) / PRIOR))
        found[counts.indices[here]] += np.log1p(counts.data[here] / np.float32(PRIOR))
    return found
