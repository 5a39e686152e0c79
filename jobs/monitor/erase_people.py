"""Take the people of ops.erasure_requests out of the lake, and out of its past.

Reads:  ops.erasure_requests   whom `shoal erase` was asked to erase; with nobody in it the job is skipped
Writes: every table with a personal column: the person's rows go, names in the words of others are taken out, and no earlier
        version, change data or log of the table is left
        ops.erasures           one row per request and person, without the id
        and reports, raw copies and model versions that hold the person are deleted

Refuses to start while another job runs in this lake: files that it has read or begun to write would go from under it. A reader of
an earlier version fails, and reads again. Cost: a pass over every table with people in it, and one over words.
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import PrivacyConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.privacy.erasure import erase, open_request
from shoal.runner.command import run_job
from shoal.runner.execute import alone

READS = ("*",)
WRITES = ("*", "models:/shoal_recommender", "models:/shoal_sentiment")
SETTINGS = ("report",)


def run(lake: Lake, conf: PrivacyConf, as_of: date) -> None:
    """Erase everybody who was asked for."""
    request = open_request(lake)
    if request is None:
        raise SkippedError("nobody is to be erased; `shoal erase --user ID` asks for it")
    with alone(lake):
        erase(lake, request)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, PrivacyConf, argv)


if __name__ == "__main__":
    sys.exit(main())
