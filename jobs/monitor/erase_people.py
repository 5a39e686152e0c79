"""Take the people of ops.erasure_requests out of the lake, and out of its past.

Reads:  ops.erasure_requests   whom `shoal erase` was asked to erase; without a request the job is skipped
Writes: every table with a personal column: the person's rows go, names in the words of others are taken out, and no earlier
        version, change data or log of the table is left
        ops.erasures           one row per request and person, without the id
        and reports, raw copies and model versions that hold the person are deleted

Models in a store outside the lake (MLFLOW_TRACKING_URI, a catalog) are not searched: the run then ends as failed (exit code 4) with
what to do, and the request stays open until a run with `models_cleared`.

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
from shoal.runner.job_lock import alone

READS = ("*",)
WRITES = ("*", "models:/shoal_recommender", "models:/shoal_sentiment")
SETTINGS = ("report",)


def run(lake: Lake, conf: PrivacyConf, as_of: date, *, models_cleared: bool = False) -> None:
    """Erase the people of the open request; `models_cleared`: their models outside the lake were deleted."""
    request = open_request(lake)
    if request is None:
        raise SkippedError("no open erasure request; `shoal erase --user ID` makes one")
    with alone(lake):
        erase(lake, request, models_cleared)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, PrivacyConf, argv)


if __name__ == "__main__":
    sys.exit(main())
