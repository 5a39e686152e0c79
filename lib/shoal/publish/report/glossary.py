"""What the shown metrics mean, in one sentence each, with where the definition comes from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from shoal.publish.report.blocks import Part, Terms

# name: (as people write it, meaning with range and direction, source)
# name: (as people write it, meaning, source); the order is the page's.
TERMS: dict[str, tuple[str, str, str]] = {
    key: (term["name"], term["meaning"], term.get("source", ""))
    for key, term in yaml.safe_load((Path(__file__).parent / "glossary.yaml").read_text(encoding="utf-8")).items()
}
LOWER_IS_BETTER = frozenset({"rmse", "mae", "log_loss", "calibration_error", "mae_log", "brier"})


def base_name(metric: str) -> str:
    """A metric's name without its list length: `ndcg@10` -> `ndcg`."""
    return metric.split("@", maxsplit=1)[0].lower()


def shown_name(metric: str) -> str:
    """A metric as people write it: `ndcg@10` -> `NDCG@10`, `macro_f1` -> `Macro-F1`; the name itself where it is not known."""
    name, _, length = metric.partition("@")
    if name.lower() not in TERMS:
        return metric
    known = TERMS[name.lower()][0]
    return known.replace("@k", f"@{length}") if length else known.removesuffix("@k")


def glossary_part(names: Iterable[str]) -> Part:
    """The terms of `names` in the order of TERMS; unknown names are skipped."""
    wanted = {base_name(name) for name in names}
    shown = [TERMS[name] for name in TERMS if name in wanted]
    lead = "What the numbers on this page mean, and where their definitions come from."
    return Part("glossary", "Glossary", lead, [Terms(shown)])
