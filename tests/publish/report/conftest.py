"""What the tests of the report share: the day, and a stand-in for a missing table."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from shoal.publish.report.blocks import Missing

DAY = date(2024, 3, 31)


@pytest.fixture
def day() -> date:
    return DAY


@pytest.fixture
def absent() -> Callable[[str], Missing]:
    return lambda name: Missing(name, "not made", f"make {name}")
