"""Where the settings and the job files lie: in the checkout, or inside an installed wheel."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The folder that holds `conf/` and `jobs/`: $SHOAL_HOME, else the checkout, else the installed package's own copy."""
    named = os.environ.get("SHOAL_HOME")
    if named:
        return Path(named)
    package = Path(__file__).resolve().parents[1]
    checkout = package.parents[1]
    return checkout if (checkout / "conf" / "base.yaml").is_file() else package / "_home"
