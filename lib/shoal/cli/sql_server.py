"""`shoal sql-server`: the lake's tables by name for programs that speak JDBC, ODBC or PyHive."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from shoal.cli.options import DEFAULT_LAKE, EnvOption, LakeOption, SetOption
from shoal.cli.query import open_lake
from shoal.publish.sql.server import SETTINGS, sql_tokens, start, stop, wait_for_signal


def sql_server(
    lake: LakeOption = DEFAULT_LAKE,
    host: Annotated[str, typer.Option("--host", help="The address to listen on. Connections are not encrypted.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: a free one.")] = 10000,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> int:
    """Answer SQL over the lake's tables by HiveServer2's protocol (JDBC, ODBC), for reading only.

    A token of SHOAL_TOKENS with the scope sql is a user: its name the user's, the token the password (docs/serving.md).

    Example: shoal sql-server --lake demo-lake --port 10000
    """
    tokens = sql_tokens()
    opened = open_lake(lake, env, [*(sets or []), *(f"{key}={value}" for key, value in SETTINGS.items())], "shoal-sql-server")
    server = start(opened, tokens, host, port)
    sys.stderr.write(f"shoal: jdbc:hive2://{host}:{server.port}/ answers queries over {lake} (process {os.getpid()})\n")
    sys.stderr.flush()
    wait_for_signal()
    stop(server)
    sys.stderr.write("shoal: stopped\n")
    return 0
