"""All that the lake holds of one person, as JSON: the rows that an erasure would remove."""

from __future__ import annotations

import json
from collections.abc import Iterator

from shoal.lake.contract import contract, contract_names
from shoal.lake.json_values import json_line, json_value
from shoal.lake.lake import Lake
from shoal.privacy.people import REQUESTS, people_of, rows_of_people


def export_person(lake: Lake, user: str, known: str) -> Iterator[str]:
    """The pieces of one JSON object: user_id as it was asked for, and under `tables` for every table with people in it the
    person's rows, sorted by key, with all columns in the contract's order. A table that was not made or has no such row is there
    with an empty list. `known` is the id as the lake knows it.

    Lists of other people (a community's top members) are not exported: they are theirs. Rows come one partition at a time.
    """
    people = people_of(lake, [known])
    yield f'{{"user_id": {json.dumps(user, ensure_ascii=False)}, "tables": {{'
    first = True
    for name in contract_names():
        made = contract(name)
        if name == REQUESTS or not (made.personal("id", "name") or made.erased_with):
            continue
        yield f"{'' if first else ', '}{json.dumps(name)}: ["
        first = False
        mine = rows_of_people(lake, name, people)
        if mine is not None:
            rows = lake.read_current(name).join(mine.select(*made.key).distinct(), made.key, "left_semi")
            ordered = rows.select(*made.columns).orderBy(*made.key)
            for number, row in enumerate(ordered.toLocalIterator()):
                line = json_line(json_value(row, ordered.schema)).rstrip()
                yield f"{',' if number else ''}\n{line}"
        yield "]"
    yield "}}\n"
