"""The options that commands share, said once."""

from __future__ import annotations

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
__all__ = ["DEFAULT_LAKE", "AsOfOption", "EnvOption", "LakeOption", "SetOption"]
