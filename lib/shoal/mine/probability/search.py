"""A search over candidates under a time budget: the first is always fitted, and no fit begins that would likely end too late."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from shoal.errors import InputError

Candidate = TypeVar("Candidate")
DONE, OUT_OF_TIME = "every candidate was fitted", "the time was used up"


@dataclass(frozen=True)
class Trial(Generic[Candidate]):
    """A candidate, its validation score (higher is better; None where it could not be fitted) and what the fit took."""

    candidate: Candidate
    score: float | None
    seconds: float


@dataclass(frozen=True)
class Search(Generic[Candidate]):
    """The best candidate by validation, all that were fitted in their order, how many there were, and why it ended."""

    champion: Candidate
    trials: tuple[Trial[Candidate], ...]
    candidates: int
    ended: str

    def facts(self, metric: str, shown: Callable[[Candidate], dict[str, Any]]) -> dict[str, Any]:
        """What search.json says: JSON values only."""
        trials = [
            {"candidate": shown(t.candidate), metric: t.score, "seconds": round(t.seconds, 3)} for t in self.trials
        ]  # fmt: skip
        return {
            "metric": metric, "champion": shown(self.champion), "trials": trials, "candidates": self.candidates,
            "ended": self.ended,
        }  # fmt: skip


def search(
    candidates: Sequence[Candidate],
    fit: Callable[[Candidate], float],
    seconds: float,
    refits: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> Search[Candidate]:
    """Fit the candidates in order, within `seconds`, and take the one of the highest score; ties go to the earlier one.

    fit: trains a candidate and gives its score on validation rows; an InputError makes it no candidate, unless it is the first's,
    which is raised. refits: how many fits the champion costs when it is fitted on all, for which time is kept. A fit begins only
    where the longest so far, once more, and the refits end in time; the first always does. So the whole takes at most `seconds`
    where no candidate takes longer than the longest before it.
    """
    if not candidates:
        raise ValueError("no candidate to fit")
    start = clock()
    trials: list[Trial[Candidate]] = []
    longest, ended = 0.0, DONE
    for candidate in candidates:
        begun = clock()
        if trials and begun - start + longest * (1.0 + refits) > seconds:
            ended = OUT_OF_TIME
            break
        score: float | None
        try:
            score = fit(candidate)
        except InputError:
            if not trials:
                raise
            score = None
        taken = clock() - begun
        longest = max(longest, taken)
        trials.append(Trial(candidate, score, taken))
    scored = [trial for trial in trials if trial.score is not None]
    best = max(scored, key=lambda trial: trial.score if trial.score is not None else 0.0)
    return Search(best.candidate, tuple(trials), len(candidates), ended)
