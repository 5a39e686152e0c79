"""Tests that need sample data from outside the repository: missing data is a failure in CI and a skip elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import data_or_skip


def test_missing_data_fails_in_ci_and_skips_with_its_reason_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert data_or_skip(tmp_path) == tmp_path
    with pytest.raises(pytest.fail.Exception, match="no sample data at"):
        data_or_skip(tmp_path / "missing")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="missing; this test needs it"):
        data_or_skip(tmp_path / "missing")
