"""Which question a test asks: what comes next, or which of a user's items were held out at random?

The answer is in the times of the test events, not in their items: after a cut by time every test event is later than the user's
training events; of events drawn at random few are.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

# A share this near to 0 or 1 is that: ties and rounding, not a mixture of two questions.
PURE = 0.05
DIGITS = 4


def estimate_random_share(train: DataFrame, test: DataFrame) -> float | None:
    """The share of test events that were held out at random, 0..1; the others come after their user's last training event.

    `train`, `test`: user_id, occurred_at. Of h events of a user drawn at random beside t that are left, h / (t + 1) are expected
    later than all of these (every order is as probable), of the next ones all h. So with A events later than the user's last
    training event, of H in all, the share is (H - A) / (H - sum of h / (t + 1)): a method of moments over all users. Within PURE of
    an end it is that end. Events without a time, test events at the very time of the user's last training event, and users without
    a training time do not count; None where nothing is left. Cost: one shuffle of each frame by user; one row is collected.
    """
    timed = train.where("occurred_at is not null").groupBy("user_id")
    known = timed.agg(F.max("occurred_at").alias("_last"), F.count(F.lit(1)).alias("_known"))
    asked = test.where("occurred_at is not null").join(known, "user_id").where("occurred_at != _last")
    is_later = (F.col("occurred_at") > F.col("_last")).cast("double")
    facts = asked.agg(F.count(F.lit(1)), F.sum(is_later), F.sum(1 / (F.col("_known") + 1))).first()
    if facts is None or not facts[0]:
        return None
    events, later, expected = float(facts[0]), float(facts[1]), float(facts[2])
    share = min(1.0, max(0.0, (events - later) / (events - expected)))
    return 0.0 if share < PURE else 1.0 if share > 1 - PURE else round(share, DIGITS)
