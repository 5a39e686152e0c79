"""Spark's values as JSON that every parser reads.

NaN and the infinities are strings, as in Spark's own to_json; a time is ISO 8601 in UTC with Z, bytes are base64, keys of maps are
text, and of two columns of one name the second gets a number.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from datetime import date, datetime, timezone
from typing import Any

from pyspark.sql import Row
from pyspark.sql.types import ArrayType, DataType, MapType, StructType, TimestampType


def json_line(value: Any) -> str:
    """A line of JSON; plain values only."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


def json_value(value: Any, kind: DataType | None = None) -> Any:
    """A value of Spark's as JSON has it; `kind`: its type, by which a time with a zone is known from one without."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return utc_time(value) if kind is None or isinstance(kind, TimestampType) else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Row) and hasattr(value, "__fields__"):
        kinds = [f.dataType for f in kind.fields] if isinstance(kind, StructType) else [None] * len(value)
        fields = zip(distinct_names(value.__fields__), value, kinds, strict=True)
        return {name: json_value(inner, of) for name, inner, of in fields}
    if isinstance(value, dict):
        key_kind, value_kind = (kind.keyType, kind.valueType) if isinstance(kind, MapType) else (None, None)
        return {_json_key(json_value(key, key_kind)): json_value(inner, value_kind) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        element = kind.elementType if isinstance(kind, ArrayType) else None
        return [json_value(inner, element) for inner in value]
    return str(value)


def _json_key(key: Any) -> str:
    return key if isinstance(key, str) else json.dumps(key, ensure_ascii=False)


def utc_time(value: datetime) -> str:
    """ISO 8601 with Z; a time without a zone is UTC, as pyspark gives it in a process whose zone is UTC."""
    in_utc = value.astimezone(timezone.utc) if value.tzinfo else value
    return in_utc.replace(tzinfo=None).isoformat() + "Z"


def distinct_names(names: Iterable[str]) -> list[str]:
    """The names, the second of two equal ones with _2, and so on; a name that is taken is passed by."""
    given = list(names)
    taken, found = set(given), []
    seen: set[str] = set()
    for name in given:
        unique, number = name, 2
        while unique in seen or (unique != name and unique in taken):
            unique, number = f"{name}_{number}", number + 1
        seen.add(unique)
        found.append(unique)
    return found
