"""What a source's columns are called, what kind of value each holds, and how its text becomes that value."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from operator import or_
from typing import Literal

from pyspark.errors import IllegalArgumentException, SparkUpgradeException
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.errors import InputError, UsageError
from shoal.ingest.formats.listing import Survey, shown_path
from shoal.ingest.formats.names import by_plain, plain

# How pandas and Python write nothing.
NOTHING = ("nan", "none", "null")
# How a missing count is written: -1 is Instagram's own for hidden likes.
_NO_COUNT = ("", "-1", "-1.0", *NOTHING)
# What stands before or behind a price: a code of three letters, or one of these, and the code that it means.
_SIGNS = {"US$": "USD", "R$": "BRL", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "$": "USD", "€": "EUR", "£": "GBP",
          "¥": "JPY", "₹": "INR", "RS": "INR", "RS.": "INR", "₽": "RUB", "₩": "KRW", "₺": "TRY", "₴": "UAH", "₫": "VND",
          "ZŁ": "PLN"}  # fmt: skip
_MARK = r"(?!nan|inf)(?:" + "|".join([*(re.escape(sign) for sign in _SIGNS), "[a-z]{3}"]) + ")"
_BLANK = r"[\s\u00a0\u2009\u202f]"
# Seconds of the year 5138; as milliseconds the same number is March 1973, before any record of ours.
_MILLISECONDS = 1e11
# What Python, and with it most of what reads the lake, can hold: Spark's own years go to 294,247.
_YEARS = ("0001-01-01 00:00:00", "9999-12-31 23:59:59.999999")


# An id's pseudonym.
Hide = Callable[[str], str]


@dataclass(frozen=True)
class Field:
    """A column of a source: our name, what else it is called, its kind (id, text, number, whole, count, price, discount, currency,
    flag, time, list, word), and whether a file must have it. A currency that is not named is recognised by the sign in the field
    `price`; a discount may be a share of the fields `price` and `quantity`.

    forms: for a time, other ways to write it than unix seconds and ISO 8601, each a function from such a text to ISO 8601, and
    from other texts to null. (Spark's own patterns raise where its old parser would have read a text.)
    people: what of people the text holds, where the contract's column of that name does not say: nobody, id, person (a name, or the
    object of a user, or a list of these), link (a post's, with its author's name), or a module-level function that makes of the
    text, and of a function from an id to its pseudonym, one without people. A pseudonymised lake goes by it.
    """

    name: str
    kind: str
    required: bool = False
    aliases: tuple[str, ...] = ()
    forms: tuple[Callable[[Column], Column], ...] = ()
    people: Literal["none", "id", "person", "link"] | Callable[[str, Hide], str] | None = None


def match_columns(survey: Survey, found: Sequence[str], wanted: Sequence[Field], conf: IngestConf) -> dict[str, str]:
    """Our name to the file's for each column that the file has: a rename of --set column_mapping.x=y first, then our own name, then
    the aliases in their order, all without regard to case and underscores.

    Raises UsageError for a rename of a column that the source does not have, InputError for a required column that is not
    there; the line names the file, what was found and what to do.
    """
    refuse_unknown_renames(wanted, conf)
    spelled = by_plain(found)
    matched: dict[str, str] = {}
    for field in wanted:
        if field.name in conf.column_mapping:
            if conf.column_mapping[field.name] not in found:
                raise InputError(_missing(survey, f"{conf.column_mapping[field.name]} (set as column_mapping.{field.name})", found))
            matched[field.name] = conf.column_mapping[field.name]
            continue
        names = [spelled[plain(n)] for n in (field.name, *field.aliases) if plain(n) in spelled]
        free = [n for n in names if n not in matched.values()]
        if free:
            matched[field.name] = free[0]
        elif is_required(field, conf):
            raise InputError(_missing(survey, field.name, found))
    return matched


def is_required(field: Field, conf: IngestConf) -> bool:
    """Whether a record must have a value: an event's time may be missing where allow_missing_time says so."""
    return field.required and not (conf.allow_missing_time and field.name == "occurred_at")


def refuse_unknown_renames(wanted: Sequence[Field], conf: IngestConf) -> None:
    """Raise UsageError, naming the nearest, for a rename of a column that is not in `wanted`."""
    ours = [field.name for field in wanted]
    for name in conf.column_mapping:
        if name not in ours:
            near = difflib.get_close_matches(name, ours, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(ours)}"
            raise UsageError(f"--set column_mapping.{name}: this source has no such column{hint}")


def refuse_unknown_pattern(spark: SparkSession, conf: IngestConf) -> None:
    """Raise UsageError where timestamp_format is no pattern of Spark's, which else shows with the first row. Cost: one row."""
    if conf.timestamp_format is None:
        return
    try:
        spark.range(1).select(_formed_time(F.lit("x"), conf.timestamp_format)).collect()
    except (IllegalArgumentException, SparkUpgradeException) as error:
        found = str(error).splitlines()[0][:200] if isinstance(error, IllegalArgumentException) else "it has letters of weeks"
        given = f"--set timestamp_format={conf.timestamp_format}"
        raise UsageError(f"{given}: not a pattern of Spark's: {found}; expected one as dd/MM/yyyy HH:mm:ss") from error


def _missing(survey: Survey, name: str, found: Sequence[str]) -> str:
    """The line about a column that is not there; a header of one name with another delimiter in it says so."""
    head = f"{shown_path(survey.path)}:1: no column {name}; found {', '.join(found)[:300]}"
    if len(found) == 1:
        other = next((d for d in (";", "\t", "|", ",") if d != survey.delimiter and d in found[0]), None)
        if other:
            shown = "tab" if other == "\t" else other
            return f"{head}; the delimiter looks like {shown!r}: --set delimiter='{shown}'"
    ours = name.split(maxsplit=1)[0]
    untimed = ", or, where events have no time, --set allow_missing_time=true" if ours == "occurred_at" else ""
    return f"{head}; name it with --set column_mapping.{ours}=NAME{untimed}"


def typed(field: Field, conf: IngestConf) -> Column:
    """The value of a field's text, which is the column of that name; null where the text is null or no such value."""
    text = F.col(field.name)
    if field.kind == "number":
        return _number(text)
    if field.kind == "whole":
        # 12.7 cast to int is 12 without a word.
        return F.when(_number(text) == F.trim(text).cast("int"), F.trim(text).cast("int"))
    if field.kind == "count":
        return _count(text)
    if field.kind == "price":
        return _price(text)
    if field.kind == "discount":
        return _discount(text, F.col("price"), F.col("quantity"))
    if field.kind == "currency":
        return _currency(text, F.col("price"))
    if field.kind == "flag":
        return F.trim(text).cast("boolean")
    if field.kind == "time":
        return _time(text, conf, field.forms)
    if field.kind == "list":
        return _list(text)
    if field.kind == "word":
        return F.lower(F.trim(text))
    if field.kind == "id":
        return F.nullif(F.trim(text), F.lit(""))
    # NUL cannot be held by most of what reads the lake; the raw record keeps it.
    return F.translate(text, "\0", "")


def _number(text: Column) -> Column:
    """The text as a double; null where it is no number. Java reads 1d and 1f as numbers; no file means that."""
    bare = F.trim(text)
    # Not the last letter by F.substring, which counts all letters and makes a new text: a tenth of the cost of parsing a rating.
    return F.when(~reduce(or_, [bare.endswith(letter) for letter in "dDfF"]), bare.cast("double"))


def _count(text: Column) -> Column:
    """How many, as people write it: 1234, 1,234, 1 234, 12.3k, 1.2m, 2b, 100+; null for any other text or a negative number.

    A fraction without a letter is no count; one with a letter is as exact as its digits.
    """
    bare = F.regexp_replace(F.lower(F.trim(text)), r"(?<=[\dkmb])\+$", "")
    plain = F.regexp_replace(bare, rf"(?<=\d){_BLANK}(?=\d{{3}})", ",")
    letter = F.regexp_extract(plain, r"^(?:\d{1,12}|\d{1,3}(?:,\d{3}){1,4})(?:\.\d{1,6})? ?([kmb])$", 1)
    times = F.when(letter == "k", 1_000).when(letter == "m", 1_000_000).when(letter == "b", 1_000_000_000)
    lettered = F.round(F.regexp_replace(plain, "[,kmb ]", "").cast("decimal(20,6)") * times).cast("bigint")
    # Parquet's doubles come as 1234.0 and 1.2345678E7.
    whole = F.when(plain.rlike(r"^(\d{1,15}|\d{1,3}(,\d{3}){1,4})(\.0*)?$"), F.regexp_replace(plain, r",|\..*", ""))
    float_ = F.when(plain.rlike(r"^\d\.\d{1,15}e\d{1,2}$"), plain.cast("decimal(38,15)"))
    return (
        F.when(letter != "", lettered)
        .when(whole.isNotNull(), whole.cast("bigint"))
        .when((float_ < 1e15) & (float_ == F.floor(float_)), float_.cast("bigint"))
    )


def _price(text: Column) -> Column:
    """An amount of money as people write it: 1299, 1299.5, 1,299.00, 1.299,00, 1 299,00, 35,90, with a currency before or behind;
    null for any other text.

    A comma or point before one or two last digits ends the whole amount; groups of three are thousands. A point before three
    digits beside a currency (€ 1.299) may be either: none.
    """
    whole = F.regexp_replace(text, rf"^{_BLANK}+|{_BLANK}+$", "")
    bare = F.regexp_replace(whole, rf"(?iu)^{_MARK}{_BLANK}*(?=[\d-])|(?<=\d){_BLANK}*{_MARK}$", "")
    # 1 299 and 1'299: the groups are then as in 1,299.
    grouped = F.regexp_replace(bare, rf"(?<=\d)(?:{_BLANK}|['’])(?=\d{{3}})", ",")
    english = F.when(grouped.rlike(r"^-?[1-9]\d{0,2}(,\d{2,3})*,\d{3}(\.\d+)?$"), F.regexp_replace(grouped, ",", ""))
    spaced = F.when(grouped.rlike(r"^-?[1-9]\d{0,2}(,\d{3})+,\d{1,2}$") & (grouped != bare), F.regexp_replace(
        F.regexp_replace(grouped, r",(?=\d{3})", ""), ",", "."))  # fmt: skip
    pointed = r"^-?[1-9]\d{0,2}((\.\d{3})+,\d{1,2}|(\.\d{3}){2,})$"
    european = F.when(bare.rlike(pointed), F.regexp_replace(F.regexp_replace(bare, r"\.", ""), ",", "."))
    comma = F.when(bare.rlike(r"^-?(\d+,\d{1,2}|0,\d+)$"), F.regexp_replace(bare, ",", "."))
    either = (bare != whole) & bare.rlike(r"^\d{1,3}\.\d{3}$")
    ways = [way.cast("double") for way in (english, spaced, european, comma)]
    return F.when(either, F.lit(None)).otherwise(F.coalesce(_number(bare), *ways))


def _discount(text: Column, price: Column, quantity: Column) -> Column:
    """An amount off a line: a price, or a share (10%, 12.5 % off) of what its units cost; off a line without a price nothing."""
    share = F.regexp_extract(text, rf"(?i)^{_BLANK}*(\d{{1,3}}(?:\.\d+)?){_BLANK}*%(?:{_BLANK}*off)?{_BLANK}*$", 1)
    units = F.coalesce(_number(quantity), F.lit(1.0))
    amount = F.round(F.coalesce(_price(price), F.lit(0.0)) * units * share.cast("double") / 100, 4)
    return F.when((share != "") & (share.cast("double") <= 100), amount).otherwise(_price(text))


def _currency(text: Column, price: Column) -> Column:
    """The code of a currency: the text's, else the one that stands with the price; null where neither names one."""
    beside = F.regexp_extract(price, rf"(?iu)^{_BLANK}*({_MARK}){_BLANK}*[\d-]", 1)
    behind = F.regexp_extract(price, rf"(?iu)\d{_BLANK}*({_MARK}){_BLANK}*$", 1)
    named = F.upper(F.coalesce(*[F.nullif(F.trim(each), F.lit("")) for each in (text, beside, behind)]))
    code = F.when(F.lit(False), named)
    for sign, means in _SIGNS.items():
        code = code.when(named == sign, means)
    return code.otherwise(named)


def _time(text: Column, conf: IngestConf, forms: Sequence[Callable[[Column], Column]]) -> Column:
    """A time of `timestamp_format`, where it is set and fits; else unix seconds (or milliseconds) where the text is a number, else
    an ISO 8601 time, UTC where it names no zone; else the first of `forms` that fits. Null outside _YEARS."""
    number = _number(text)
    # Not F.round: it goes by way of a decimal, a third of the cost of parsing a rating.
    micros = F.rint(number * (1e6 if conf.timestamp_unit == "s" else 1e3)).cast("bigint")
    # A time must begin with its date: Spark would read 12:30 as today's.
    dated = F.when(F.substring(F.trim(text), 5, 1) == "-", F.trim(text).cast("timestamp"))
    other = F.coalesce(dated, *[form(F.trim(text)).cast("timestamp") for form in forms])
    value = F.when(number.isNotNull(), F.when(F.abs(number) < 1e15, F.timestamp_micros(micros))).otherwise(other)
    if conf.timestamp_format is not None:
        # First: 15112023 would be seconds of the year 1970.
        value = F.coalesce(_formed_time(F.trim(text), conf.timestamp_format), value)
    return F.when(value.between(*[F.lit(end).cast("timestamp") for end in _YEARS]), value)


def _formed_time(text: Column, form: str) -> Column:
    """The time of a text of that form; null for another. Spark reads no weekdays, which say nothing that the date does not: one at
    the beginning, E in the pattern, is dropped."""
    dated = re.sub(r"^E+[^\w'\[]*", "", form)
    if dated != form:
        text = F.regexp_replace(text, r"^\p{L}+\W+", "")
    return F.try_to_timestamp(text, F.lit(dated))


def _list(text: Column) -> Column:
    """A JSON array, or values between vertical bars; without blank ones."""
    parts = F.when(text.startswith("["), F.from_json(text, "array<string>")).otherwise(F.split(text, r"\|"))
    return F.filter(F.transform(parts, F.trim), lambda part: part != "")


def broken_rule(rule: str, reason: Column) -> Column:
    """Return struct(rule, reason), the form in which a rejected record carries its fault."""
    return F.struct(F.lit(rule).alias("rule"), reason.alias("reason"))


def fault(field: Field, value: Column, conf: IngestConf, as_of: date) -> Column:
    """struct(rule, reason) of what is wrong with a field's text, given its typed value; null where nothing is.

    Rules: required (empty), type (no such value; of an id, a JSON object), control_character (NUL in an id),
    timestamp_milliseconds, future (after the end of as_of). A reason names the column, the text found (60 characters of it) and
    what was expected.
    """
    text = F.col(field.name)
    found = F.concat(F.lit(f"{field.name}: found '"), F.substring(text, 1, 60), F.lit("', expected "))

    bare = F.trim(text)
    blank = text.isNull() | (F.lower(bare).isin(*_NO_COUNT) if field.kind == "count" else bare == "")
    checks = F.when(F.lit(False), broken_rule("", F.lit("")))
    if is_required(field, conf):
        checks = checks.when(blank, broken_rule("required", F.lit(f"{field.name}: empty, expected a value")))
    if field.kind == "id":
        nul = F.lit(f"{field.name}: holds NUL, expected text")
        checks = checks.when(text.contains("\0"), broken_rule("control_character", nul))
        # {"id": "7"} is somebody, but no id; a GUID may stand in braces.
        checks = checks.when(F.trim(text).startswith('{"'), broken_rule("type", F.concat(found, F.lit("an id, not an object"))))
    if field.kind in ("number", "whole", "count", "price", "discount", "flag", "list"):
        kinds = {"number": "a number", "whole": "a whole number", "flag": "true or false", "list": "a list",
                 "count": "a count as 1234, 1,234 or 12.3k",
                 "price": "a price as 1299, 1,299.00, 1.299,00 or € 12",
                 "discount": "a price as 1299, 1,299.00, 1.299,00 or € 12, or 10%"}  # fmt: skip
        checks = checks.when(~blank & value.isNull(), broken_rule("type", F.concat(found, F.lit(kinds[field.kind]))))
    if field.kind == "time":
        # A day's grace: clocks and zones differ.
        late = F.lit(f"{as_of + timedelta(days=2)} 00:00:00").cast("timestamp")
        if conf.timestamp_unit == "s":
            reason = F.concat(found, F.lit("unix seconds; it looks like milliseconds: --set timestamp_unit=ms"))
            # Such seconds are no time of today's; of the others, nearly all, the number is not made again.
            is_long = (value.isNull() | (value >= late)) & F.abs(_number(text)).between(_MILLISECONDS, 1e15)
            if conf.timestamp_format is not None:
                # 20231115100000 may be a time of that form.
                is_long &= _formed_time(F.trim(text), conf.timestamp_format).isNull()
            checks = checks.when(is_long, broken_rule("timestamp_milliseconds", reason))
        wanted = "unix seconds or an ISO 8601 time; name another form with --set timestamp_format=dd/MM/yyyy"
        if conf.timestamp_format is not None:
            wanted = f"unix seconds, an ISO 8601 time, or one like {conf.timestamp_format} (timestamp_format)"
        expected = F.lit(wanted)
        checks = checks.when(~blank & value.isNull(), broken_rule("type", F.concat(found, expected)))
        checks = checks.when(value >= late, broken_rule("future", F.concat(found, F.lit(f"a time up to {as_of} (as_of)"))))
    return checks
