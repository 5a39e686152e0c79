"""The command line: `shoal --help`. One module a group of commands; `app` puts them together and ends every run.

Exit codes: 0 done or nothing to do, 2 bad usage or configuration, 3 bad input, 4 transient, 5 internal.
"""

from __future__ import annotations

import sys


def main(argv: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code; a user's mistake is one line on stderr."""
    from shoal.cli.app import run

    sys.exit(run(sys.argv[1:] if argv is None else argv))
