"""The options that commands share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Optional

import typer

from shoal.runner.command import DEFAULT_LAKE

LakeOption = Annotated[str, typer.Option("--lake", envvar="SHOAL_LAKE", help="Folder of the lake.", metavar="DIR")]
EnvOption = Annotated[str, typer.Option("--env", envvar="SHOAL_ENV", help="Settings: conf/<env>.yaml over conf/base.yaml.")]
SetOption = Annotated[
    Optional[list[str]], typer.Option("--set", metavar="KEY=VALUE", help="A setting over conf's; repeat for more.")
]
AsOfOption = Annotated[
    Optional[str],
    typer.Option("--as-of", metavar="YYYY-MM-DD", help="The day to run for; nothing after it counts. Default: today, UTC."),
]
# Settings of ingest that say how a file is written: a command that reads a file takes them without the section's name.
FILE_SETTINGS = ("delimiter", "encoding", "header", "comment", "quote", "escape", "null", "column_mapping", "max_record_bytes")


def with_file_settings(sets: Sequence[str] | None) -> list[str]:
    """`--set` pairs with those of FILE_SETTINGS under ingest, where they are.

    >>> with_file_settings(["delimiter=;", "column_mapping.src=a", "damping=0.8"])
    ['ingest.delimiter=;', 'ingest.column_mapping.src=a', 'damping=0.8']
    """
    return [f"ingest.{pair}" if pair.partition("=")[0].split(".")[0].strip() in FILE_SETTINGS else pair for pair in sets or []]


__all__ = ["DEFAULT_LAKE", "AsOfOption", "EnvOption", "LakeOption", "SetOption", "with_file_settings"]
