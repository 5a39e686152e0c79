"""What the shown metrics mean, in one sentence each, with where the definition comes from."""

from __future__ import annotations

from collections.abc import Iterable

from shoal.report.blocks import Part, Terms

# name: (as people write it, meaning with range and direction, source)
TERMS: dict[str, tuple[str, str, str]] = {
    "ndcg": (
        "NDCG@k", "How high the relevant items stand in a list of k: each hit counts 1/log2(rank + 1), divided by what the best "
        "possible order would get. 0 to 1, higher is better; a user without a list counts 0.",
        "Järvelin and Kekäläinen, ACM TOIS 20(4), 2002"),
    "map": (
        "MAP@k", "Mean over users of the average precision: precision at the rank of each hit, summed and divided by the smaller "
        "of k and the number of relevant items. 0 to 1, higher is better.", "Spark MLlib, RankingMetrics"),
    "map_full": (
        "MAP (all relevant)", "As MAP@k, but divided by the number of all relevant items, so that it stays below 1 where there "
        "are more than k. Higher is better.", "Manning, Raghavan and Schütze, Introduction to Information Retrieval, 2008, 8.4"),
    "recall": (
        "Recall@k", "Share of a user's relevant items that stand in the first k. 0 to 1, higher is better.",
        "Manning, Raghavan and Schütze, 2008, 8.4"),
    "precision": (
        "Precision@k", "Share of the k places that hold a relevant item; a shorter list is judged as one of k. 0 to 1, higher is "
        "better.", "Manning, Raghavan and Schütze, 2008, 8.4"),
    "hit_rate": (
        "Hit rate@k", "Share of users with at least one relevant item in the first k. 0 to 1, higher is better.", ""),
    "mrr": (
        "MRR@k", "Mean over users of 1 / rank of the first relevant item, 0 where there is none within k. 0 to 1, higher is better.",
        "Voorhees, TREC-8 Question Answering Track, 1999"),
    "coverage": (
        "Coverage@k", "Share of the catalogue that stands in anybody's first k. 0 to 1; higher means that more than the hits of "
        "the day is shown.", "Ge, Delgado-Battenfeld and Jannach, RecSys 2010"),
    "rmse": ("RMSE", "Root of the mean squared difference of predicted and given rating, in the rating's unit. Lower is better.", ""),
    "mae": ("MAE", "Mean absolute difference of predicted and given rating, in the rating's unit. Lower is better.", ""),
    "accuracy": ("Accuracy", "Share of texts whose label was predicted. 0 to 1, higher is better; look at macro-F1 where labels "
                 "are of unequal number.", ""),
    "macro_f1": ("Macro-F1", "F1, the harmonic mean of precision and recall, of each label, averaged with equal weight for each "
                 "label. 0 to 1, higher is better.", "Sokolova and Lapalme, Information Processing & Management 45(4), 2009"),
    "weighted_f1": ("Weighted F1", "F1 of each label, averaged with the label's share of the texts as its weight. 0 to 1, higher "
                    "is better.", "Spark MLlib, MulticlassMetrics"),
    "f1": ("F1", "The harmonic mean of precision and recall. 0 to 1, higher is better.", "van Rijsbergen, 1979"),
    "log_loss": ("Log loss", "Mean of -ln of the probability given to the true label. 0 is best.", ""),
    "popularity": ("Popularity", "Events of an item, each halved for every half-life of its age (features.half_life_days, 30 days "
                   "unless set): an event of today counts 1.", ""),
    "rank_frequency": ("Rank and frequency", "Items (or users) sorted by events: the curve gives the events at each rank. A "
                       "straight line on logarithmic axes is a power law: few have most.", "Zipf, 1949; Newman, 2005"),
    "score": ("Score", "How strongly an item is recommended; unitless, comparable within one source only.", ""),
    "modularity": ("Modularity", "Share of edges inside communities, less what chance would give with the same degrees. Above 0.3 "
                   "is a marked structure; 1 is the most.", "Newman and Girvan, Physical Review E 69, 2004"),
    "conductance": ("Conductance", "Share of a community's edge ends that leave it. 0 to 1; low is closed, high is open.",
                    "Leskovec, Lang, Dasgupta and Mahoney, 2009"),
    "psi": ("PSI", "Population stability index: sum over bins of (p - q) ln(p / q) between two windows. Below 0.1 is stable, from "
            "0.25 on much has changed.", "Siddiqi, Credit Risk Scorecards, 2006"),
    "kolmogorov_smirnov": ("Kolmogorov-Smirnov", "Largest distance between the two cumulative distributions. 0 to 1.",
                           "Massey, JASA 46, 1951"),
    "jensen_shannon": ("Jensen-Shannon", "Distance of two distributions through their mean: the root of the divergence. 0 to 1 "
                       "with logarithms of base 2.", "Endres and Schindelin, IEEE Transactions on Information Theory 49, 2003"),
    "wasserstein": ("Wasserstein", "The area between the two cumulative distributions: by how much values moved, in the column's "
                    "own unit.", "Villani, Optimal Transport, 2009"),
    "chi_square": ("Chi-square", "Sum of squared differences from the expected counts of categories, each over its expectation. "
                   "Grows with the number of rows: look at it with its p-value.", "Pearson, 1900"),
    "null_share": ("Null share", "Difference of the shares of rows without a value. 0 to 1.", ""),
    "non_finite_share": ("Non-finite share", "Difference of the shares of rows with NaN or infinity. 0 to 1.", ""),
    "new_categories": ("New categories", "Share of rows whose category the reference never had. 0 to 1.", ""),
    "missing_column": ("Missing column", "1 where one of the windows has no such column.", ""),
    "p_value": ("p-value", "Chance of a difference at least so large if nothing had changed. With many rows small differences "
                "have small p-values too: severity looks at the size of the effect as well.", ""),
}  # fmt: skip
LOWER_IS_BETTER = frozenset({"rmse", "mae", "log_loss"})


def base_name(metric: str) -> str:
    """A metric's name without its list length: `ndcg@10` -> `ndcg`."""
    return metric.split("@")[0].lower()


def shown_name(metric: str) -> str:
    """A metric as people write it: `ndcg@10` -> `NDCG@10`, `macro_f1` -> `Macro-F1`; the name itself where it is not known."""
    name, _, length = metric.partition("@")
    if name.lower() not in TERMS:
        return metric
    known = TERMS[name.lower()][0]
    return known.replace("@k", f"@{length}") if length else known.removesuffix("@k")


def glossary_part(names: Iterable[str]) -> Part:
    """The terms of `names` in the order of TERMS; names that are not there are left out."""
    wanted = {base_name(name) for name in names}
    shown = [TERMS[name] for name in TERMS if name in wanted]
    return Part("glossary", "Glossary", "What the numbers on this page mean, and where their definitions come from.", [Terms(shown)])
