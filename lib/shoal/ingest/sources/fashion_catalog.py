"""A shop's catalogue: products, what people browsed and bought, and a folder of pictures.

In a folder, files with `event`, `purchase`, `transaction`, `order` or `browse` in their names are events, .jpg, .png and the like
pictures, all others products. A picture is of the product that its file is named after, or of the one whose record names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.fields import Field, broken_rule
from shoal.ingest.formats.documents import listed_in
from shoal.ingest.formats.listing import PICTURES
from shoal.ingest.record_type import DerivedTable, RecordType, event_id_from, hashtags_of, status_of
from shoal.ingest.sources.general import EVENT, ITEM, TIME, USER, item_of, named_event, rating_in_range

SOURCE = "fashion_catalog"
_EVENTS = ("*event*", "*purchase*", "*transaction*", "*order*", "*browse*", "events/*")
_PICTURES = tuple(f"*{ending}" for ending in PICTURES)

PRODUCT_FIELDS = (
    Field("product_id", "id", True, ("item_id", "pid", "id", "sku", "article_id", "asin", "parent_asin", "uniq_id")),
    Field("title", "text", False, ("name", "product_name", "prod_name", "product_display_name")),
    Field("description", "text", False, ("text", "detail_desc", "body")),
    Field("brand", "text", False, ("brand_name", "manufacturer")),
    Field(
        "category",
        "list",
        False,
        ("categories", "product_type", "product_type_name", "article_type", "product_category", "sub_category", "main_category"),
    ),
    Field("colour", "text", False, ("color", "base_colour", "colour_group_name")),
    # The selling price comes before the list price.
    Field(
        "price",
        "price",
        False,
        (
            "price_usd",
            "selling_price",
            "sale_price",
            "discounted_price",
            "current_price",
            "list_price",
            "retail_price",
            "actual_price",
            "mrp",
        ),
    ),
    Field("currency", "currency", False, ("currency_code",), people="none"),
    Field("image_path", "text", False, ("image", "image_url", "picture", "filename"), people="none"),
    Field("created_at", "time", False, ("published_at", "added_at", "timestamp")),
)
EVENT_FIELDS = (
    Field("event_id", "id", False, ("id", "line_id")),
    USER,
    ITEM,
    # A file without it is one of purchases.
    replace(EVENT, required=False),
    Field("price", "price", False, ("unit_price",)),
    Field("quantity", "whole", False, ("count", "units")),
    # An amount off the whole line in its currency, or 10%.
    Field("discount", "discount", False, ("discount_amount",)),
    Field("currency", "currency", False, ("currency_code",), people="none"),
    Field("occurred_at", "time", True, (*TIME.aliases, "t_dat", "purchased_at")),
)
PICTURE_FIELDS = (
    Field("path", "text", people="none"),
    Field("width_px", "whole"),
    Field("height_px", "whole"),
    Field("status", "word"),
)


def products_of(document: object, path: str) -> Iterator[object]:
    """The products of a JSON document: an array, a product, or an object that holds the array."""
    return listed_in(document, ("products", "items", "data", "results"), frozenset({"product_id", "id", "sku"}))


def _usd_per(conf: IngestConf, currency: str = "currency") -> Column:
    """What one unit of a record's currency is worth in US dollars; null where no rate is set. None named: US dollars."""
    rates = {"USD": 1.0, **{name.upper(): rate for name, rate in conf.usd_exchange_rates.items()}}
    named = F.coalesce(F.upper(F.trim(currency)), F.lit(""))
    # Conditions, not a map: with two maps in one expression Spark 3.5 made a value null that was none.
    worth = F.when(named == "", 1.0)
    for name, rate in rates.items():
        worth = worth.when(named == name, rate)
    return worth


def _unknown_currency(conf: IngestConf) -> Column:
    """Rule `currency`: a price in a currency without a rate; it would be a number that means nothing, or be lost."""
    found = F.concat(F.lit("currency: found '"), F.substring("_fields.currency", 1, 60), F.lit("', expected USD"))
    rates = "".join(f", {name}" for name in sorted(conf.usd_exchange_rates))
    reason = F.concat(found, F.lit(f"{rates}; --set usd_exchange_rates.CODE=RATE gives another's worth in US dollars"))
    unknown = _usd_per(conf, "_fields.currency").isNull()
    return F.when(F.col("_fields.price").isNotNull() & unknown, broken_rule("currency", reason))


def _fault_of_event(conf: IngestConf) -> Column:
    """Rule `currency`, or `range` for a negative amount."""
    return F.coalesce(_unknown_currency(conf), rating_in_range(conf))


def _items(conf: IngestConf) -> dict[str, Column]:
    return item_of({
        "item_id": F.col("product_id"), "kind": F.lit("product"), "title": F.col("title"), "text": F.col("description"),
        "hashtags": hashtags_of(F.concat_ws(" ", "title", "description")),
        "categories": F.coalesce("category", F.array().cast("array<string>")),
        "image_count": F.when(F.col("image_path").isNotNull(), 1), "image_path": F.col("image_path"),
        "price_usd": F.round(F.col("price") * _usd_per(conf), 4), "created_at": F.col("created_at"),
    })  # fmt: skip


def _image_id(item: Column, path: Column) -> Column:
    """A picture's id, from the item and the name of the file, wherever that lies."""
    return F.md5(F.concat_ws("\u001f", item, F.lower(_file_name(path))))


def _file_name(path: Column) -> Column:
    return F.regexp_extract(path, r"([^/\\]*)$", 1)


def _item_of_file() -> Column:
    """The item that the file at `path` is named after."""
    return F.regexp_replace(_file_name(F.col("path")), r"\.[^.]*$", "")


def _images_of_products(conf: IngestConf) -> dict[str, Column]:
    return {
        "image_id": _image_id(F.col("product_id"), F.col("image_path")), "item_id": F.col("product_id"),
        "path": F.col("image_path"), "width_px": F.lit(None), "height_px": F.lit(None), "status": status_of(F.col("image_path")),
    }  # fmt: skip


def _images(conf: IngestConf) -> dict[str, Column]:
    """A picture is of the product that its file is named after."""
    kept = {name: F.col(name) for name in ("path", "width_px", "height_px", "status")}
    return {"image_id": _image_id(_item_of_file(), F.col("path")), "item_id": _item_of_file(), **kept}


def _events(conf: IngestConf) -> dict[str, Column]:
    """An event; the value of a purchase is what was paid for the line, in US dollars."""
    event = F.coalesce(named_event(F.col("event")), F.lit("purchase"))
    paid = F.col("price") * F.coalesce("quantity", F.lit(1)) - F.coalesce("discount", F.lit(0.0))
    return {
        "event_id": F.coalesce("event_id", event_id_from(SOURCE, event)), "user_id": F.col("user_id"), "item_id": F.col("item_id"),
        "event": event, "value": F.round(F.when(event == "purchase", paid) * _usd_per(conf), 4),
        "occurred_at": F.col("occurred_at"),
    }  # fmt: skip


def seen_pictures(images: DataFrame) -> DataFrame:
    """The rows of silver.images that change: a picture that a product's record lists, with the file of its name.

    Of this source's rows: those that a record listed are matched by file name with those of files; where several files have the
    name, the first path counts. One join on the file name.
    """
    ours = images.where(F.col("source") == SOURCE).withColumn("_name", F.lower(_file_name(F.col("path"))))
    seen = ("path", "width_px", "height_px", "status")
    best = ours.where(_is_looked_at()).groupBy("_name").agg(F.min(F.struct(*seen, "image_id")).alias("_file"))
    met = ours.where("status = 'listed'").join(best, "_name").where(F.col("image_id") != F.col("_file.image_id"))
    return met.select("image_id", "item_id", *[F.col(f"_file.{name}").alias(name) for name in seen], "source")


def nobodys_pictures(images: DataFrame, items: DataFrame) -> DataFrame:
    """image_id of the rows of silver.images that go once `seen_pictures` are in: files that a product's record names, and whose
    own names are no product's. Two joins, on path and on item.
    """
    files = images.where((F.col("source") == SOURCE) & _is_looked_at())
    is_own_name = F.col("item_id") == _item_of_file()
    named = files.where(~is_own_name).select("path")
    return files.where(is_own_name).join(named, "path", "left_semi").join(items, "item_id", "left_anti").select("image_id")


def _is_looked_at() -> Column:
    return F.col("status").isin("found", "damaged")


PARTS = (
    RecordType(
        "products", "bronze.products", "silver.items", PRODUCT_FIELDS, _items, is_optional=True, records_of=products_of,
        checked=_unknown_currency,
        excluding=(*_EVENTS, *_PICTURES, "customers*", "users*", "images.csv", "readme*", "license*"),
        also=(DerivedTable("silver.images", _images_of_products, lambda: F.col("image_path").isNotNull(), keeps_newest=False),),
    ),
    RecordType(
        "events", "bronze.shop_events", "silver.interactions", EVENT_FIELDS, _events, _EVENTS, False, holds_fields=True,
        checked=_fault_of_event,
    ),
    RecordType("pictures", "bronze.pictures", "silver.images", PICTURE_FIELDS, _images, _PICTURES, holds_fields=True,
    of_pictures=True),
)  # fmt: skip
