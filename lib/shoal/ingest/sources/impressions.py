"""Logs of what was shown, as the Open Bandit Dataset hands them out: item, position, click and the propensity with which the
policy chose it. Folders name policy and campaign: random/men/men.csv, or policy=random/campaign=men."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.fields import Field
from shoal.ingest.record_type import DerivedTable, RecordType
from shoal.ingest.sources.general import TIME

FIELDS = (
    Field("impression_id", "id", False, ("id",)),
    # The Open Bandit Dataset numbers its rows under no name.
    Field("row", "text", False, ("", "index", "unnamed: 0"), people="none"),
    Field("user_id", "id", False, ("user", "uid", "visitor_id", "customer_id")),
    Field("item_id", "id", True, ("item", "arm", "action", "product_id")),
    Field("position", "whole", True, ("slot",)),
    Field("is_click", "flag", True, ("click", "clicked", "reward")),
    Field("propensity", "number", True, ("propensity_score", "action_prob", "pscore")),
    Field("policy", "word", False, ("behavior_policy",)),
    Field("campaign", "word"),
    TIME,
)


def _folder(key: str, names: str) -> Column:
    """What the nearest folder of the file says: key=value, or one of the names that the Open Bandit Dataset uses; else null."""
    folder_value = F.regexp_extract("_file", rf"(?i).*/{key}=([^/]+)/", 1)
    named = F.regexp_extract("_file", rf"(?i).*/({names})/", 1)
    return F.lower(F.coalesce(F.nullif(folder_value, F.lit("")), F.nullif(named, F.lit(""))))


def _policy() -> Column:
    return F.coalesce("policy", _folder("policy", "random|bts"))


def _campaign() -> Column:
    return F.coalesce("campaign", _folder("campaign", "all|men|women"))


def _impression_id() -> Column:
    """The log's own id, else one made from the rest: rows that differ in their number only are two impressions."""
    rest = [F.col(name).cast("string") for name in ("row", "user_id", "occurred_at", "item_id", "position")]
    made = F.md5(F.concat_ws("\u001f", *[F.coalesce(value, F.lit("")) for value in (_policy(), _campaign(), *rest)]))
    return F.coalesce("impression_id", made)


def _impressions(conf: IngestConf) -> dict[str, Column]:
    kept = ("user_id", "item_id", "position", "is_click", "propensity", "occurred_at")
    named = {"impression_id": _impression_id(), "policy": _policy(), "campaign": _campaign()}
    return named | {name: F.col(name) for name in kept}


def _clicks(conf: IngestConf) -> dict[str, Column]:
    return {
        "event_id": F.concat(F.lit("click-"), _impression_id()), "user_id": F.col("user_id"), "item_id": F.col("item_id"),
        "event": F.lit("click"), "value": F.lit(None), "occurred_at": F.col("occurred_at"),
    }  # fmt: skip


def _is_click_of_somebody() -> Column:
    return F.col("is_click") & F.col("user_id").isNotNull()


PARTS = (
    RecordType(
        "impressions", "bronze.impressions", "silver.impressions", FIELDS, _impressions, keeps_newest=False, is_optional=True,
        excluding=("item_context*", "readme*", "license*"),
        also=(DerivedTable("silver.interactions", _clicks, _is_click_of_somebody, keeps_newest=False),),
    ),
)  # fmt: skip
