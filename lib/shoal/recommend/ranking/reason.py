"""Why an item is listed: a code, and the seen item that contributes most to its score.

Tables hold `reason_code` and `because_item_id`; `sentence` renders them where a person reads them (docs/adr/0047). For ALS a
user's factors are a linear function of what the user has seen, so every score is a sum of one term a seen item (Hu, Koren and
Volinsky, ICDM 2008, section 5). The largest term names the item in "because you rated X".
"""

from __future__ import annotations

import numpy as np
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from shoal.arrays import Doubles, Floats, Ints
from shoal.recommend.ranking.sentences import SENTENCES
from shoal.recommend.ranking.top_k import Items, Reason, Seen

TITLE_LENGTH = 80
BECAUSE = "because_"
GENERAL = "similar_users"
# Entries of `parts` that say how much each kind of reason adds to a row's score beside the user's other candidates.
BY = "by_"
# Kinds of reason with a because-item that stands in a sentence of its own, and kinds that no item of the user's speaks for. Of
# history and people (ALS, walks: what those like who met the same) the item is one that the user met.
ITEM_KINDS = {"next": "because_next", "content": "because_content"}
OTHER_KINDS = {"popularity": "popular", "followed": "popular_with_followed", "demographic": "popular_in_group"}
KINDS = ("history", "people", *ITEM_KINDS, *OTHER_KINDS)
# The reason of a row without a because-item, by source; GENERAL for the sources that are not named here.
CODES = {
    "follows": "popular_with_followed", "community": "popular_in_community", "profile": "popular_in_profile",
    "popularity": "popular", "content": "new_item", "explore": "exploration",
}  # fmt: skip


def called(title: Column, text: Column) -> Column:
    """What a reason calls an item: its title, else the beginning of its text, on one line, of at most 80 characters."""
    whole = F.trim(F.regexp_replace(F.coalesce(F.nullif(F.trim(title), F.lit("")), text), r"\s+", " "))
    short = F.when(F.length(whole) > TITLE_LENGTH, F.concat(F.rtrim(F.substring(whole, 1, TITLE_LENGTH - 1)), F.lit("…")))
    return F.nullif(F.coalesce(short, whole), F.lit(""))


def sentence(code: Column, name: Column) -> Column:
    """The sentence for the user by reason_code; null for an unknown code.

    `name`: what the because-item is called (`called`, else its id). Where it is null, as after the erasure of the item, the
    sentence speaks of "something".
    """
    texts = F.create_map(*[F.lit(part) for pair in SENTENCES.items() for part in pair])
    # No regular expression: a name may hold $ and backslashes.
    before, after = (F.split_part(texts[code], F.lit("{item}"), F.lit(n)) for n in (1, 2))
    return F.when(after == "", texts[code]).otherwise(F.concat(before, F.coalesce(name, F.lit("something")), after))


def with_liked(preferences: DataFrame) -> DataFrame:
    """The preferences (user_id, item_id, value, weight where they have one) with `is_liked`: false where the rating is below the
    mean of the user's ratings, or where the weight is 0; true elsewhere, without a rating too. Only liked items are because-items.
    Cost: a shuffle by user."""
    mean = F.avg("value").over(Window.partitionBy("user_id"))
    # The mean of equal ratings may be off in the last digit.
    is_liked = F.coalesce(F.col("value") >= mean - F.lit(1e-9), F.lit(True))
    if "weight" in preferences.columns:
        is_liked &= F.col("weight") > 0
    return preferences.withColumn("is_liked", is_liked)


def with_reason(lists: DataFrame, preferences: DataFrame, removed: DataFrame | None = None) -> DataFrame:
    """The lists (user_id, source, because_item_id ...) with `reason_code`, and because_item_id null where it may not be named.

    `preferences`: user_id, item_id, unique; `event`, the heaviest thing that the user did with the item; `is_liked`. A because-item
    that is not liked, or that moderators have `removed` (item_id), is not named; the row's reason is then that of its source. An
    item that the user has no preference for keeps its name, with code because_event. Where `parts` has what each kind of reason
    adds (BY), the strongest one decides: because_next and because_content name the item that speaks for the row by these, and
    popularity none. Cost: a join by user and item, one by item
    with `removed`.
    """
    events = preferences.select("user_id", F.col("item_id").alias("because_item_id"), "event", "is_liked")
    rows = lists.join(events, ["user_id", "because_item_id"], "left")
    is_named = F.col("because_item_id").isNotNull() & F.coalesce("is_liked", F.lit(True))
    if removed is not None:
        gone = removed.select(F.col("item_id").alias("because_item_id"), F.lit(True).alias("_gone"))
        rows = rows.join(gone, "because_item_id", "left")
        is_named &= F.col("_gone").isNull()
    by_source = F.create_map(*[F.lit(part) for pair in CODES.items() for part in pair])
    known = [code.removeprefix(BECAUSE) for code in SENTENCES if code.startswith(BECAUSE)]
    event = F.when(F.col("event").isin(known), F.col("event")).otherwise(F.lit("event"))
    kind = _strongest(lists)
    is_named &= ~F.coalesce(kind.isin(*OTHER_KINDS), F.lit(False))
    named_code, other_code = F.concat(F.lit(BECAUSE), event), F.coalesce(by_source[F.col("source")], F.lit(GENERAL))
    for name, own in ITEM_KINDS.items():
        named_code = F.when(kind == name, F.lit(own)).otherwise(named_code)
    for name, own in OTHER_KINDS.items():
        other_code = F.when(kind == name, F.lit(own)).otherwise(other_code)
    code = F.when(is_named, named_code).otherwise(other_code)
    named = rows.withColumns({"reason_code": code, "because_item_id": F.when(is_named, F.col("because_item_id"))})
    return named.select(*lists.columns, "reason_code")


def _strongest(lists: DataFrame) -> Column:
    """The kind of reason with the largest entry in `parts`; ties: the first of KINDS; null for a row without these entries."""
    if "parts" not in lists.columns:
        return F.lit(None).cast("string")
    entries = {kind: F.try_element_at("parts", F.lit(f"{BY}{kind}")) for kind in KINDS}
    most = F.greatest(*entries.values())
    return F.coalesce(*[F.when(entry == most, F.lit(kind)) for kind, entry in entries.items()])


def als_reason(reg_param: float, alpha: float | None) -> Reason:
    """For the top-k engine: the liked seen item with the largest term of each listed item's score; -1 where no such term is
    positive.

    `alpha` is the confidence of implicit ALS, with preference weights as the seen items' weights; None is explicit ALS,
    with the ratings as weights. Regularisation is scaled by the number of seen items, as MLlib does. Ties go to the
    smaller item id. Cost a user: rank^3 + seen x rank x (rank + k) operations; memory seen x k.
    """

    def reason(items: Items, users: Floats, seen: Seen, listed: Ints) -> Ints:
        owed = np.full(listed.shape, -1, np.int64)
        for user in range(len(users)):
            places = np.flatnonzero(listed[user] >= 0)
            history = seen.index[seen.of(user)]
            if len(places) and len(history):
                terms = _terms(items, history, seen.weight[seen.of(user)], listed[user, places], reg_param, alpha)
                terms[~seen.liked[seen.of(user)]] = -np.inf
                most = terms.argmax(axis=0)
                owed[user, places] = np.where(terms.max(axis=0) > 0, history[most], -1)
        return owed

    return reason


def _terms(items: Items, history: Ints, weight: Doubles, listed: Ints, reg_param: float, alpha: float | None) -> Doubles:
    """The contribution of each seen item (rows) to the score of each listed item (columns); a column's sum is the
    score.
    """
    seen = items.factors[history].astype(np.float64)
    confidence = np.ones(len(weight)) if alpha is None else alpha * weight
    # What weighs 0 was met and not liked: its preference is 0, as in the fit.
    target = weight if alpha is None else np.where(weight > 0, 1 + alpha * weight, 0.0)
    ratings = len(history) if alpha is None else int((weight > 0).sum())
    normal = (seen * confidence[:, None]).T @ seen + reg_param * ratings * np.eye(seen.shape[1])
    if alpha is not None:
        normal += items.gram
    solved = np.linalg.lstsq(normal, items.factors[listed].astype(np.float64).T, rcond=None)[0]
    return np.asarray((seen @ solved) * target[:, None])
