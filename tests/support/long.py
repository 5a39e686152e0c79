"""Slow tests that the gate does not run: `make test-long` does."""

from __future__ import annotations

import os

import pytest

# Minutes each, of what other tests look at in smaller pieces.
long = pytest.mark.skipif("SHOAL_LONG_TESTS" not in os.environ, reason="make test-long runs it")
