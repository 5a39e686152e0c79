"""Features of posts, point in time: what a post says and when it appears, and its author's posts strictly before it.

A frame of posts has `author_id` (string), `created_at` (timestamp), `position` (bigint, unique: breaks ties), `text` (string),
`likes` and `comments` (bigint, null where hidden), `is_video`, `has_location`, `is_verified` (boolean), `followers`, `following`
(bigint) and `author_created_at` (timestamp); all but the first three may be null. The counts of a post itself are in no feature of
it.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from shoal.mine.posts.rules import EMOJI, HASHTAG, HISTORY_FEATURES, LETTERLESS, LINK, MENTION, NOT_UPPER, QUOTE, SPANS, WORD

POSTS = ("author_id", "created_at", "position", "text", "likes", "comments", "is_video", "has_location", "is_verified",
         "followers", "following", "author_created_at")  # fmt: skip


def with_post_features(posts: DataFrame) -> DataFrame:
    """The posts with POST_FEATURES: of the text, the moment and the author's profile as the row has it. Lazy, no shuffle.

    Hours, weekdays and days of the year are points on a circle, so that 23 and 0 o'clock are neighbours. Lengths are in code
    points. Counts of the profile are log1p, the account's age too, in days at the time of the post (null where it would be
    negative). A missing text counts as empty; other missing values stay null. `is_quote`: the text begins as a repeated one does
    ("RT @", "@).
    """
    text, moment = F.coalesce(F.col("text"), F.lit("")), F.col("created_at")
    letters = F.length(F.regexp_replace(text, LETTERLESS, ""))
    age = (F.unix_timestamp(moment) - F.unix_timestamp("author_created_at")) / 86_400.0
    features = {
        **_circle("hour", F.hour(moment) + F.minute(moment) / 60.0, 24.0),
        **_circle("weekday", F.weekday(moment), 7.0),
        "is_weekend": (F.weekday(moment) >= 5).cast("double"),
        **_circle("season", F.dayofyear(moment), 365.25),
        "text_length": F.length(text),
        "word_count": _matches(text, WORD),
        "hashtag_count": _matches(text, HASHTAG),
        "mention_count": _matches(text, MENTION),
        "emoji_count": _matches(text, EMOJI),
        "link_count": _matches(text, LINK),
        "exclamation_count": _matches(text, "!"),
        "has_question": text.contains("?"),
        "is_quote": text.rlike(QUOTE),
        "upper_share": F.length(F.regexp_replace(text, NOT_UPPER, "")) / F.greatest(letters, F.lit(1)),
        "is_video_post": F.col("is_video"),
        "has_place": F.col("has_location"),
        "is_verified_author": F.col("is_verified"),
        "followers_log": F.log1p("followers"),
        "following_log": F.log1p("following"),
        "account_age_log": F.when(age >= 0, F.log1p(age)),
    }
    return posts.withColumns({name: column.cast("double") for name, column in features.items()})


def _matches(text: Column, pattern: str) -> Column:
    return F.size(F.regexp_extract_all(text, F.lit(f"({pattern})"), F.lit(1)))


def _circle(name: str, value: Column, period: float) -> dict[str, Column]:
    angle = value.cast("double") * (2 * 3.141592653589793 / period)
    return {f"{name}_sin": F.sin(angle), f"{name}_cos": F.cos(angle)}


def with_author_history(posts: DataFrame, counts: tuple[str, ...] = ("likes", "comments")) -> DataFrame:
    """The posts with what was known of their authors strictly before them.

    Adds `posts_before` (bigint), `days_since_last` (days, null for a first post), `<count>_known` (bigint: earlier posts whose
    count is not hidden) and, for each of `counts`, `<count>_last`, `_mean_5`, `_mean_20`, `_mean_50`, `_mean_all`, `_deviation_20`
    and `_maximum_20`: of log1p of the count over the author's so many last posts that have one. Null where there is none (of the
    deviation, fewer than two).

    Posts of one author and one moment do not know each other: each knows what came before all of them. A post without a time knows
    all that have one, and none knows it. One shuffle, by author; an author's posts are one task's.
    """
    author = Window.partitionBy("author_id")
    # Posts without a time come last, at one moment.
    order = [F.col("created_at").isNull(), F.col("created_at"), F.col("position")]
    in_order = author.orderBy(*order)
    before = in_order.rowsBetween(Window.unboundedPreceding, -1)
    made: dict[str, Column] = {
        "posts_before": (F.row_number().over(in_order) - 1).cast("bigint"),
        "_last_at": F.max("created_at").over(before),
    }
    for count in counts:
        known = F.when(F.col("created_at").isNotNull(), F.log1p(F.col(count).cast("double")))
        made[f"_{count}_log"] = known
        made[f"{count}_known"] = F.count(known).over(before)
    found = posts.withColumns(made)
    over = ["posts_before", "_last_at"]
    for count in counts:
        value, known = F.col(f"_{count}_log"), F.col(f"{count}_known")
        # The n-th known post stands at 2n, a hidden one at the odd place behind those before it: the last five known are within
        # ten.
        place = f"_{count}_place"
        found = found.withColumn(place, F.when(value.isNotNull(), 2 * known + 2).otherwise(2 * known + 1))
        by_place = author.orderBy(place)

        def last(span: int, by_place: WindowSpec = by_place) -> WindowSpec:
            return by_place.rangeBetween(-2 * span, -1)

        found = found.withColumns(
            {
                f"{count}_last": F.avg(value).over(last(1)),
                **{f"{count}_mean_{span}": F.avg(value).over(last(span)) for span in SPANS},
                f"{count}_mean_all": F.avg(value).over(by_place.rangeBetween(Window.unboundedPreceding, -1)),
                f"{count}_deviation_20": F.stddev_samp(value).over(last(20)),
                f"{count}_maximum_20": F.max(value).over(last(20)),
            }
        )
        over += [f"{count}_known", *(f"{count}_{name}" for name in HISTORY_FEATURES)]
    # All posts of a moment know what its first one knows.
    moment = Window.partitionBy("author_id", "created_at").orderBy("position")
    found = found.withColumns({name: F.first(name).over(moment) for name in over})
    days = (F.unix_timestamp("created_at") - F.unix_timestamp("_last_at")) / 86_400.0
    return found.withColumn("days_since_last", days).drop(
        "_last_at", *(f"_{count}_{name}" for count in counts for name in ("log", "place"))
    )
