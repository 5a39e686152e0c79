"""What Instagram calls things in the languages of accounts: labels.yaml."""

from __future__ import annotations

from pathlib import Path

import yaml

_SAID: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("labels.yaml").read_text(encoding="utf-8"))
# Names of fields, in lower case.
USERNAMES, NAMES = tuple(_SAID["username"]), tuple(_SAID["name"])
# Display names of accounts that are gone: as ids, all of them would be one person.
GONE = ("", *_SAID["gone"])
