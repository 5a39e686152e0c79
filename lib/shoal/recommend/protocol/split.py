"""Training and test: every function adds the boolean `is_test` and keeps all rows.

Three questions, three cuts, and a mixture of two for choosing settings: what will a known user do next
(`with_time_split`, `with_last_out`), what will everybody do after a day (`with_global_time_split`; users may be new there), and
which items were held out at random (`with_random_split`). Ties are broken by id, then by all other columns: nothing depends on how
rows lie in partitions.

Rows are events, or pairs of a user and an item with all their events in the column `deeds` (candidates.preferences). Of pairs, the
time splits cut the events, not only the rows: a training pair keeps the weight and the rating of its events before the cut, so that
no training weight contains an event from the test period.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import AtomicType
from pyspark.sql.window import WindowSpec

from shoal.errors import UsageError

# 0.29 * 100 is 28.999999999999996 in binary: a share of n is rounded down only after this.
_ROUNDING = 1e-9
_VALIDATION = "validation"
# The column that holds a pair's events: array<struct<at: timestamp, weight: double, value: double>>, ascending, null times first.
DEEDS = "deeds"


def with_time_split(events: DataFrame, test_ratio: float) -> DataFrame:
    """The last floor(n * test_ratio) of each user's n events are test; order: occurred_at, then item_id (string order).

    A user with so few events that the floor is 0 is training only. An event without a time counts as the earliest.
    Raises UsageError for a ratio outside ]0, 1[. Cost: one shuffle by user_id and a sort within it.
    """
    _check(test_ratio)
    count = F.count(F.lit(1)).over(Window.partitionBy("user_id"))
    marked = _marked(events, F.row_number().over(_newest_first(events)) <= _share(count, test_ratio))
    return _without_later_deeds(marked, _first_test_time())


def with_last_out(events: DataFrame, n: int) -> DataFrame:
    """The last n events of each user are test (leave-last-out); order as in `with_time_split`. A user with no more than n events
    is training only. Raises UsageError for an n below 1. Cost: one shuffle by user_id and a sort within it.
    """
    if n < 1:
        raise UsageError(f"last: {n}; expected a whole number from 1 on")
    count = F.count(F.lit(1)).over(Window.partitionBy("user_id"))
    marked = _marked(events, (count > n) & (F.row_number().over(_newest_first(events)) <= n))
    return _without_later_deeds(marked, _first_test_time())


def with_global_time_split(events: DataFrame, test_ratio: float) -> DataFrame:
    """Events after one moment are test: the moment below which the share 1 - test_ratio of all events with a time lies.

    No training event is later than any test event, so events of that very moment are all training, and the test share
    is test_ratio at most. An event without a time is training. Of pairs with `deeds` the moment divides their events; a pair is
    test where its first event is after the moment. Raises UsageError for a ratio outside ]0, 1[. Cost: one aggregate over all
    times, whose one row is collected.
    """
    return with_split_at(events, moment_of(events, test_ratio))


def moment_of(events: DataFrame, test_ratio: float) -> int | None:
    """The moment of `with_global_time_split` in microseconds since 1970; None where no event has a time. Raises UsageError for a
    ratio outside ]0, 1[. Cost: `percentile_approx` to a millionth of the number of events; collects one row."""
    _check(test_ratio)
    times = events.select(F.explode("deeds.at").alias("occurred_at")) if DEEDS in events.columns else events
    row = times.agg(F.percentile_approx(F.unix_micros("occurred_at"), 1.0 - test_ratio, 1_000_000)).first()
    return None if row is None or row[0] is None else int(row[0])


def with_split_at(events: DataFrame, moment: int | None) -> DataFrame:
    """Events after `moment` (microseconds since 1970) are test; with None, or without a time, an event is training."""
    later = F.coalesce(F.unix_micros("occurred_at") > F.lit(moment), F.lit(False))
    after = None if moment is None else F.timestamp_micros(F.lit(moment + 1))
    marked = _marked(events, later)
    return marked if after is None else _without_later_deeds(marked, after)


def with_random_split(events: DataFrame, test_ratio: float, seed: int, purpose: str, within: str = "user_id") -> DataFrame:
    """floor(n * test_ratio) of the n events of each user (or of each value of `within`) are test, drawn by a seeded
    hash.

    Draws for different purposes are independent at any seed: who draws again from what an earlier draw left must name another
    purpose, or the second draw takes the events that the first one nearly took. Apart from seed and purpose the draw depends on
    user_id and item_id only; rows that agree in both are drawn together in order of time.
    Raises UsageError for a ratio outside ]0, 1[. Cost: one shuffle by `within`.
    """
    _check(test_ratio)
    group = Window.partitionBy(within)
    chance = F.xxhash64(F.lit(f"{purpose}:{seed}"), "user_id", "item_id")
    drawn = group.orderBy(chance, "user_id", "item_id", "occurred_at", *_ties(events))
    return _marked(events, F.row_number().over(drawn) <= _share(F.count(F.lit(1)).over(group), test_ratio))


def is_drawn_user(share: float, seed: int, purpose: str) -> Column:
    """Whether the row's user_id is among a share of all users, drawn by a hash of purpose, seed and user_id."""
    place = F.pmod(F.xxhash64(F.lit(f"{purpose}:{seed}"), "user_id"), F.lit(1_000_000)) / F.lit(1e6)
    return place < F.lit(share)


def with_validation_split(events: DataFrame, ratio: float, seed: int) -> DataFrame:
    """For choosing settings: of each user's events half of `ratio` are test as the last by time, the other half drawn
    at random.

    A cut by time alone asks the right question, but its few hits are noise: on MovieLens it orders settings differently
    at every seed. Drawn events are easier to find, and settings that find both do well on either kind of test
    (docs/adr/0040). Events without a time count as the earliest; without any time all are drawn at random. Cost: two
    shuffles by user_id, and a look for a time.
    """
    _check(ratio)
    if not has_times(events):
        return with_random_split(events, ratio, seed, _VALIDATION)
    last = with_time_split(events, ratio / 2)
    # Of the 1 - ratio / 2 that are left, so many are ratio / 2 of all.
    drawn = with_random_split(training_part(last), ratio / 2 / (1 - ratio / 2), seed, _VALIDATION)
    return drawn.unionByName(test_part(last).withColumn("is_test", F.lit(True)))


def has_times(events: DataFrame) -> bool:
    """Whether any event has a time. Cost: reads up to the first one."""
    return not events.where("occurred_at is not null").isEmpty()


def training_part(events: DataFrame) -> DataFrame:
    """The rows that are not test, without the mark."""
    return events.where(~F.col("is_test")).drop("is_test")


def test_part(events: DataFrame) -> DataFrame:
    """The rows that are test, without the mark."""
    return events.where("is_test").drop("is_test")


def _newest_first(events: DataFrame) -> WindowSpec:
    """Each user's events, the last one first."""
    ties = [F.desc(name) for name in _ties(events)]
    return Window.partitionBy("user_id").orderBy(F.col("occurred_at").desc_nulls_last(), F.desc("item_id"), *ties)


def _ties(events: DataFrame) -> list[str]:
    """The other columns that can be ordered: two events that agree in user, item and time may differ in what they are."""
    own = ("user_id", "item_id", "occurred_at")
    return [field.name for field in events.schema.fields if field.name not in own and isinstance(field.dataType, AtomicType)]


def _marked(events: DataFrame, is_test: Column) -> DataFrame:
    return events.withColumn("is_test", is_test)


def _first_test_time() -> Column:
    """The time of the user's first test row; null where the user has none."""
    return F.min(F.when(F.col("is_test"), F.col("occurred_at"))).over(Window.partitionBy("user_id"))


def _without_later_deeds(marked: DataFrame, cut: Column) -> DataFrame:
    """Training rows with `deeds`, `weight` and `value` of their events before `cut` only; all of them where it is null. A pair
    whose first event is at the very cut keeps that event. Rows without `deeds` are events: nothing is changed."""
    if DEEDS not in marked.columns:
        return marked
    first = F.col("occurred_at")
    held = marked.withColumn("_cut", cut)
    early = F.filter(DEEDS, lambda deed: deed["at"].isNull() | (deed["at"] < F.col("_cut")) | (deed["at"] == first))
    held = held.withColumn(DEEDS, F.when(F.col("is_test") | F.col("_cut").isNull(), F.col(DEEDS)).otherwise(early))
    return held.drop("_cut").withColumns({"weight": deeds_weight(), "value": deeds_value()})


def deeds_weight() -> Column:
    """The sum of the weights of `deeds`, in their order."""
    return F.aggregate(DEEDS, F.lit(0.0), lambda total, deed: total + deed["weight"])


def deeds_value() -> Column:
    """The mean rating of `deeds`; null where none has one."""
    rated = F.filter(F.transform(DEEDS, lambda deed: deed["value"]), lambda value: value.isNotNull())
    return F.aggregate(rated, F.lit(0.0), lambda total, value: total + value) / F.nullif(F.size(rated), F.lit(0))


def _share(count: Column, ratio: float) -> Column:
    """floor(count * ratio)."""
    return F.floor(count * F.lit(ratio) + F.lit(_ROUNDING))


def _check(ratio: float) -> None:
    if not 0 < ratio < 1:
        raise UsageError(f"test_ratio: {ratio}; expected a number between 0 and 1")
