"""Whether tables are what their readers take them for, where contracts cannot say.

A contract's types, NOT NULL and CHECK hold for every row, or the write fails. What it cannot hold is looked at here, once a day:

- `measures`    rows, different keys, nulls by column, the newest time: two aggregates a table
- `references`  rows whose parent is missing
- `severity`    ok, warn or fail: by fixed limits, and by how unlike its own past a figure is

Rules and limits: docs/adr/0150-watching.md.
"""
