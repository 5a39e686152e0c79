"""A file's columns, and a JSON object's names, under the names of a record type's fields."""

from __future__ import annotations

from shoal.conf.sections import IngestConf
from shoal.errors import InputError
from shoal.ingest.fields import match_columns, refuse_unknown_renames
from shoal.ingest.formats.json_objects import PLAIN
from shoal.ingest.formats.listing import Survey
from shoal.ingest.formats.names import plain
from shoal.ingest.record_type import RecordType
from shoal.lake.contract import contract


def json_pairs(part: RecordType, conf: IngestConf) -> tuple[str, ...]:
    """Pairs `theirs=ours` of a part's fields, as the reader of JSON objects wants them: a rename, else our name and its aliases.

    Raises UsageError for a rename of a column that the part does not have.
    """
    refuse_unknown_renames(part.fields, conf)
    pairs = []
    for field in part.fields:
        names = [conf.column_mapping[field.name]] if field.name in conf.column_mapping else [field.name, *field.aliases]
        # An object is no text; of an optional field it may be more than that, as the author of a tweet.
        end = PLAIN if field.kind == "text" and field.required else ""
        pairs += [f"{plain(name)}={field.name}{end}" for name in names]
    return tuple(dict.fromkeys(pairs))


def takes_unknown(part: RecordType) -> bool:
    """Whether a record may have columns that no field uses, by bronze's contract."""
    return contract(part.bronze).unknown_columns == "keep"


def refuse_unknown(part: RecordType, path: str, unknown: list[str]) -> None:
    """Raise InputError where a file has columns that no field uses and bronze's contract takes none."""
    if unknown and not takes_unknown(part):
        raise InputError(
            f"{path}:1: unknown column {', '.join(unknown)[:300]}; {part.bronze} takes none (unknown_columns: "
            "refuse in its contract); leave it out, or name what it is with --set column_mapping.OURS=THEIRS"
        )


def columns_of(part: RecordType, survey: Survey, conf: IngestConf) -> tuple[tuple[str | None, ...], list[str]]:
    """A file's columns under our names, as read_records wants them, and those that no field uses."""
    if survey.form in ("jsonl", "document", "pages", "picture"):
        return json_pairs(part, conf), []
    found = list(survey.header)
    matched = match_columns(survey, found, part.fields, conf)
    ours = {theirs: name for name, theirs in matched.items()}
    unknown = [name for name in found if name not in ours]
    if survey.form == "csv":
        return tuple(ours.get(name) for name in found), unknown
    return tuple(f"{theirs}={name}" for theirs, name in ours.items()), unknown
