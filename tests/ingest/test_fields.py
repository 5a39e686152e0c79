"""Counts and prices as people write them."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.errors import UsageError
from shoal.ingest.fields import Field, fault, refuse_unknown_pattern, typed

COUNTS = {
    "0": 0, " 1234 ": 1234, "1,234": 1234, "12,345,678": 12_345_678, "1234.0": 1234, "12.3k": 12_300, "1.2M": 1_200_000,
    "2b": 2_000_000_000, "1,234.5k": 1_234_500, "1.0005k": 1001, "3 k": 3000, "100+": 100, "1k+": 1000,
    "1 234 567": 1_234_567, "1\u202f234": 1234, "1 23": None,
    "1.2345678E7": 12_345_678, "999999999999999": 999_999_999_999_999,
    "-1": None, "12.3": None, "1,23": None, "1.234.567": None, "k": None, "many": None, "": None, "1e3": None, "1.25E1": None,
    "9.9e20": None, "NaN": None, "Infinity": None, "12kk": None, "1234567890123456": None, "١٢": None, "+": None, "1++": None,
}  # fmt: skip


def test_counts(spark: SparkSession) -> None:
    texts = spark.createDataFrame([(text,) for text in COUNTS], "n string")
    found = texts.select("n", typed(Field("n", "count"), load().ingest).alias("count")).collect()
    assert {row["n"]: row["count"] for row in found} == COUNTS


def test_a_count_that_is_hidden_or_missing_is_no_fault_and_none_of_the_others_is_sound(spark: SparkSession) -> None:
    field, conf = Field("n", "count"), load().ingest
    said = ("-1", "-1.0", "NaN", "None", " null ", "", "-5", "1k-", "Infinity")
    texts = spark.createDataFrame([(text,) for text in said], "n string")
    found = texts.select("n", fault(field, typed(field, conf), conf, date(2024, 1, 1))["rule"].alias("rule")).collect()
    assert [row["n"] for row in found if row["rule"]] == ["-5", "1k-", "Infinity"]


# Text: the amount, and the currency that stands beside it.
PRICES = {
    "1299": (1299, None), "1299.5": (1299.5, None), "0.05083": (0.05083, None), "-5": (-5, None), "1e3": (1000, None),
    "1,299": (1299, None), "1,299.00": (1299, None), "12,345,678.90": (12_345_678.9, None), "₹1,00,000": (100_000, "INR"),
    "1.299,00": (1299, None), "€ 1.299,00": (1299, "EUR"), "1.299.000": (1_299_000, None), "35,90": (35.9, None),
    "0,005": (0.005, None), "1 299,50 €": (1299.5, "EUR"), "1\u00a0299 USD": (1299, "USD"), "1'299.00 CHF": (1299, "CHF"),
    "$10.50": (10.5, "USD"),
    "US$ 5": (5, "USD"), "usd 20": (20, "USD"), "R$ 5,90": (5.9, "BRL"), "Rs. 999": (999, "INR"), "5zł": (5, "PLN"),
    "$ -5": (-5, "USD"),
    # One thousand and more, or one and a bit: both are written so.
    "€1.299": (None, "EUR"),
    "free": (None, None), "10%": (None, None), "12.99 - 19.99": (None, None), "1,2,3": (None, None), "12d": (None, None),
    "$": (None, None),
}  # fmt: skip


def test_prices(spark: SparkSession) -> None:
    texts = spark.createDataFrame([(text, None) for text in PRICES], "price string, currency string")
    kinds = [typed(Field(name, name), load().ingest).alias(f"_{name}") for name in ("price", "currency")]
    found = texts.select("price", *kinds).collect()
    assert {row["price"]: (row["_price"], row["_currency"]) for row in found} == PRICES
    named = texts.withColumn("currency", F.lit(" eur "))
    assert {row["_currency"] for row in named.select(kinds[1]).collect()} == {"EUR"}


# A time: what it is read as with timestamp_format=d/M/yyyy[ HH:mm]; where that is not said, what else it is.
TIMES = {
    "15/11/2023": (datetime(2023, 11, 15), None), "5/1/2023 10:30": (datetime(2023, 1, 5, 10, 30), None),
    "31/02/2023": (None, None), "11/15/2023": (None, None),
    "1700000000": (datetime(2023, 11, 14, 22, 13, 20),) * 2, "2023-11-15T10:00:00Z": (datetime(2023, 11, 15, 10),) * 2,
}  # fmt: skip


def test_times_of_a_form_that_is_named(spark: SparkSession) -> None:
    texts, field = spark.createDataFrame([(text,) for text in TIMES], "t string"), Field("t", "time")
    for place, pattern in enumerate(("d/M/yyyy[ HH:mm]", None)):
        conf = load().ingest.model_copy(update={"timestamp_format": pattern})
        value = typed(field, conf)
        reason = fault(field, value, conf, date(2024, 1, 1))["reason"]
        rows = texts.select("t", value.alias("time"), reason.alias("reason")).collect()
        assert {row["t"]: row["time"] for row in rows} == {text: times[place] for text, times in TIMES.items()}
        assert {row["t"] for row in rows if row["reason"]} == {text for text, times in TIMES.items() if times[place] is None}
    assert rows[0]["reason"] == (
        "t: found '15/11/2023', expected unix seconds or an ISO 8601 time; name another form with --set timestamp_format=dd/MM/yyyy"
    )


@pytest.mark.parametrize(
    ("text", "pattern"),
    [("Mon Apr 06 22:19:45 PDT 2009", "EEE MMM dd HH:mm:ss zzz yyyy"),
     ("Tue, 07 Apr 2009 05:19:45 GMT", "EEE, dd MMM yyyy HH:mm:ss z"),
     ("April 7, 2009 5:19:45 am", "MMMM d, yyyy h:mm:ss a")],
)  # fmt: skip
def test_forms_with_weekdays_zones_and_names_of_months(spark: SparkSession, text: str, pattern: str) -> None:
    conf = load().ingest.model_copy(update={"timestamp_format": pattern})
    rows = spark.createDataFrame([(text,), ("7 Apr",)], "t string").select(typed(Field("t", "time"), conf).alias("time")).collect()
    assert [row["time"] for row in rows] == [datetime(2009, 4, 7, 5, 19, 45), None]


def test_a_form_of_digits_is_not_taken_for_milliseconds(spark: SparkSession) -> None:
    conf, field = load().ingest.model_copy(update={"timestamp_format": "yyyyMMddHHmm"}), Field("t", "time")
    texts = spark.createDataFrame([("202311151030",), ("1700000000000",)], "t string")
    value = typed(field, conf)
    rule = fault(field, value, conf, date(2024, 1, 1))["rule"]
    rows = texts.select(value.alias("time"), rule.alias("rule")).collect()
    # Read as seconds, the second one would be of the year 55840, which Python cannot hold.
    assert [tuple(row) for row in rows] == [(datetime(2023, 11, 15, 10, 30), None), (None, "timestamp_milliseconds")]


@pytest.mark.parametrize(
    ("pattern", "reported"),
    [("dd/MM/YYYY", "it has letters of weeks"), ("foo", "Unknown pattern letter"), ("'", "incomplete string literal")],
)
def test_a_pattern_that_is_none_is_one_line(spark: SparkSession, pattern: str, reported: str) -> None:
    with pytest.raises(UsageError, match="expected one as dd/MM/yyyy") as raised:
        refuse_unknown_pattern(spark, load().ingest.model_copy(update={"timestamp_format": pattern}))
    assert reported in str(raised.value) and "\n" not in str(raised.value)


def test_an_object_is_no_id(spark: SparkSession) -> None:
    field, conf = Field("n", "id", True), load().ingest
    texts = spark.createDataFrame([(text,) for text in ('{"id": "7"}', "{1B2-3}", "7")], "n string")
    reported = texts.select(fault(field, typed(field, conf), conf, date(2024, 1, 1)).alias("fault")).collect()
    assert [row["fault"] and tuple(row["fault"]) for row in reported] == [
        ("type", "n: found '{\"id\": \"7\"}', expected an id, not an object"), None, None,
    ]  # fmt: skip
