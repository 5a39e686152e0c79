"""Why an item is listed: the seen item that contributes most to its score.

For ALS a user's factors are a linear function of what the user has seen, so every score is a sum of one term a seen
item (Hu, Koren and Volinsky, ICDM 2008, section 5). The largest term names the item in "because you rated X".
"""

from __future__ import annotations

import numpy as np
from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.arrays import Doubles, Floats, Ints
from shoal.recommend.ranking.top_k import Items, Reason, Seen

TITLE_LENGTH = 80


def called(title: Column, text: Column) -> Column:
    """What a reason calls an item: its title, else the beginning of its text, on one line, of at most 80 characters."""
    whole = F.trim(F.regexp_replace(F.coalesce(F.nullif(F.trim(title), F.lit("")), text), r"\s+", " "))
    short = F.when(F.length(whole) > TITLE_LENGTH, F.concat(F.rtrim(F.substring(whole, 1, TITLE_LENGTH - 1)), F.lit("…")))
    return F.coalesce(short, whole)


def because(done: Column, name: Column) -> Column:
    """The sentence that says what a user has `done`, one word, with the item that is called `name`."""
    return F.concat(F.lit("Because you "), done, F.lit(" "), name, F.lit("."))


def named_in(reason: Column) -> Column:
    """What `because` has named in a reason; empty where the reason is none of its."""
    return F.regexp_extract(reason, r"^Because you \S+ (.*)\.$", 1)


def als_reason(reg_param: float, alpha: float | None) -> Reason:
    """For the top-k engine: the seen item with the largest term of each listed item's score; -1 where no term is
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
