"""Errors that a user can act on: one line each, with the exit code of their kind.

Everything that Shoal raises on purpose is a `ShoalError`; anything else that escapes is a defect of ours and ends with
exit code 5. The message names the file, line or key, what was found, what was expected and what to do.
"""

from __future__ import annotations


class ShoalError(Exception):
    """A failure with a message for the person who ran the command; `exit_code` is the process's."""

    exit_code = 5


class UsageError(ShoalError):
    """A wrong argument or setting (exit code 2)."""

    exit_code = 2


class InputError(ShoalError):
    """Input that cannot be used: a missing or empty file, a missing column, too many rejects (exit code 3)."""

    exit_code = 3


class TransientError(ShoalError):
    """A failure that the same command may survive later: a lock held, a full disk, a conflict (exit code 4)."""

    exit_code = 4


class ContractError(ShoalError):
    """A frame that breaks its table's contract: a defect of the job that made it (exit code 5)."""


class SkippedError(ShoalError):
    """A stage without input: reported, recorded as skipped, no failure (exit code 0)."""

    exit_code = 0


def one_line(error: BaseException) -> str:
    """The first line of an error's message, at most 500 characters; the class's name where it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:500]
