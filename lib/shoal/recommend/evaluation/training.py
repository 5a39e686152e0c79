"""How the pipeline's recommender is chosen: split, search, fit, compare, and what is fitted on everything in the end.

One moment divides all events: models are fitted on those before it, and their lists are compared with what users met for the first
time, and liked, after it. Of the users after the moment half, drawn by a hash, decide (validation); the figures that are reported
are those of the other half (test), which nothing is chosen by. So one fit of each model serves both. A model is better than
another only where a paired bootstrap over the validation users says so. Without any time pairs are drawn at random instead.
docs/adr/0046.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.recommend.candidates.als import AlsModel, AlsSettings, fit_als, list_als
from shoal.recommend.candidates.artifact import ListSettings, Recommender, fill_with_als, list_recommender
from shoal.recommend.candidates.blend import Blend, BlendSettings, Expert, history_rows, list_blend
from shoal.recommend.candidates.demographics import UserGroups, profiles_before, user_groups
from shoal.recommend.candidates.experts import candidate_recall, fit_experts
from shoal.recommend.candidates.fitted_parts import blend_of, fit_parts
from shoal.recommend.candidates.followed import follows_before
from shoal.recommend.candidates.popularity import list_popular, popularity
from shoal.recommend.candidates.preferences import Ratings, liked, preferences, with_relative_ratings
from shoal.recommend.candidates.random import list_random
from shoal.recommend.candidates.search import SearchSpace, Trial, search_als
from shoal.recommend.candidates.trained import RecommenderSpec, rounded
from shoal.recommend.evaluation.evaluate import Metrics, evaluate_lists
from shoal.recommend.evaluation.served import ServingInputs, TrainingPart, served_at_split
from shoal.recommend.protocol.metrics import mean_metrics, user_metrics
from shoal.recommend.protocol.significance import Replicates, bootstrap, is_better
from shoal.recommend.protocol.split import test_part, training_part, with_random_split, with_split_at
from shoal.recommend.ranking.lists import backfill_lists

BASELINES = ("random", "popularity")
# The name of the lists as they are served.
SERVED = "served"
GLOBAL_TIME, RANDOM = "global_time", "random"
# Caches a frame until the training ends.
Keep = Callable[[DataFrame], DataFrame]
Tell = Callable[[Trial], None]


@dataclass(frozen=True)
class TrainingSettings:
    """`test_ratio`: share of the events that lies after the moment; `max_p_value`: of the paired test, below which a difference is
    none of chance; `blend`: the blend's settings over those of ALS, None where no expert is asked; `ratings`, `event_weights`: how
    preferences are made; the rest as in EvaluationProtocol."""

    k: int
    space: SearchSpace
    validation_ratio: float
    test_ratio: float
    max_p_value: float
    user_batch_size: int
    ratings: Ratings
    event_weights: tuple[tuple[str, float], ...]
    blend: Callable[[AlsSettings], BlendSettings] | None


@dataclass(frozen=True)
class TrainingData:
    """`everything`: all preferences; `train`: those before the moment, their weights from events before it; `wanted`: user_id,
    item_id, is_validation: what users met first, and liked, after it; `kind`: GLOBAL_TIME or RANDOM; `moment`, `until`:
    microseconds since 1970 of the split and of the last event, None without any time; `follows`, `profiles`: silver.follows
    and silver.profiles, None without the table."""

    everything: DataFrame
    train: DataFrame
    wanted: DataFrame
    kind: str
    moment: int | None
    until: int | None
    follows: DataFrame | None = None
    profiles: DataFrame | None = None

    @property
    def known_follows(self) -> DataFrame | None:
        """The follows up to the moment (see `follows_before`)."""
        return follows_before(self.follows, self.moment)

    @property
    def known_profiles(self) -> DataFrame | None:
        """The profiles that were known at the moment (see `profiles_before`)."""
        return profiles_before(self.profiles, self.moment)

    @cached_property
    def known_groups(self) -> UserGroups | None:
        """The groups of `known_profiles`. Cost: that of `user_groups`, once."""
        return user_groups(self.known_profiles)

    @property
    def users(self) -> DataFrame:
        """user_id of everybody who is wanted to be found something for."""
        return self.wanted.select("user_id").distinct()

    def part(self, is_validation: bool) -> DataFrame:
        """What is wanted of the validation users, or of the test users."""
        return self.wanted.where(F.col("is_validation") if is_validation else ~F.col("is_validation")).drop("is_validation")


@dataclass(frozen=True)
class Selected:
    """`spec`: what was chosen; `metrics`: model -> slice -> metric on test users, slice `validation` on those who decided, of
    the blend `candidate_recall` too; the model SERVED has no such slice, because it decides nothing; `lists`: model, user_id, rank,
    item_id, score (cached); `trials`: of the search."""

    spec: RecommenderSpec
    metrics: dict[str, dict[str, Metrics]]
    lists: DataFrame
    trials: list[Trial]


def prepare(events: DataFrame, settings: TrainingSettings, keep: Keep, moment: int | None = None) -> TrainingData | None:
    """The events (user_id, item_id, event, value, occurred_at) as preferences, split; None where there is no event.

    They are split at `moment` (microseconds since 1970), by default at that of `settings.test_ratio`.

    Cost: one shuffle by user and item, whose pairs are cached, as are both parts; one aggregate, one row collected.
    """
    pairs = keep(preferences(events, dict(settings.event_weights), with_deeds=True))
    times = pairs.select("value", F.explode("deeds.at").alias("at"))
    micros = F.unix_micros("at")
    share = F.percentile_approx(micros, 1.0 - settings.test_ratio, 1_000_000)
    facts = times.agg(F.count(F.lit(1)), F.count("value"), share, F.max(micros)).first()
    if facts is None or not facts[0]:
        return None
    count, until = facts[1], facts[3]
    moment = facts[2] if moment is None else moment
    weighed = with_relative_ratings if settings.ratings == "relative" and count else _as_they_are
    everything = keep(weighed(pairs))

    def split(rows: DataFrame) -> DataFrame:
        if moment is not None:
            return with_split_at(rows, moment)
        return with_random_split(rows, settings.test_ratio, settings.space.seed, "train recommender")

    train = keep(weighed(training_part(split(pairs))))
    drawn = F.pmod(F.xxhash64(F.lit(f"validation:{settings.space.seed}"), "user_id"), F.lit(2)) == 0
    wanted = liked(test_part(split(everything))).select("user_id", "item_id", drawn.alias("is_validation"))
    return TrainingData(everything, train, keep(wanted), GLOBAL_TIME if moment is not None else RANDOM, moment, until)


def _as_they_are(pairs: DataFrame) -> DataFrame:
    return pairs


def select(
    data: TrainingData,
    content: DataFrame | None,
    settings: TrainingSettings,
    keep: Keep,
    tell: Tell,
    serving: ServingInputs | None = None,
) -> Selected:
    """Search ALS inside the training part, learn the blend's experts there, compare both on the validation users, and measure them,
    the baselines, and, with `serving`, the lists that the chosen one serves (SERVED), on the test users. ALS serves unless the
    blend is better by the paired test: it is cheaper.

    Cost: the trials; one fit of each model; one evaluation pass for all; that of `served_at_split`.
    """
    best, trials = search_als(data.train, settings.space, settings.k, settings.validation_ratio, settings.user_batch_size, tell)
    als, blend = fit_both(data, best, None, content, settings)
    made = own_lists(data, als, blend, settings) | baseline_lists(data, settings)
    lists = keep(reduce(DataFrame.unionByName, (_named(rows, name) for name, rows in made.items())))
    names = list(made)
    metric = f"ndcg@{settings.k}"
    per_user = keep(user_metrics(lists, data.part(True), [settings.k], names))
    serves = "als"
    if blend is not None:
        found = bootstrap(per_user, metric, ["als", "blend"], settings.space.seed)
        serves = "blend" if is_better(found, "blend", "als", settings.max_p_value) else "als"
    experts = blend.experts if blend is not None else ()
    spec = RecommenderSpec(best, experts, serves, settings.ratings, settings.event_weights, data.until)
    tested = data.part(False)
    users = keep(tested.select("user_id").distinct())
    evaluated = lists.join(users, "user_id", "left_semi")
    if serving is not None:
        shown = served_at_split(spec, als, blend, TrainingPart(data.train, users, data.moment), serving, keep)
        evaluated, names = evaluated.unionByName(_named(shown, SERVED)), [*names, SERVED]
    metrics = evaluate_lists(keep(evaluated), tested, data.train, names, settings.k)
    for row in mean_metrics(per_user).collect():
        values = row.asDict()
        metrics[values.pop("model")]["validation"] = values
    if blend is not None:
        metrics["blend"] |= candidate_recall(blend.experts, blend.candidates)
    return Selected(spec, metrics, lists, trials)


def fit_both(
    data: TrainingData, als: AlsSettings, experts: Sequence[object] | None, content: DataFrame | None, settings: TrainingSettings
) -> tuple[AlsModel, Blend | None]:
    """ALS and the blend on the training part; no blend where conf asks no expert, ALS is explicit, or no two users share an item.
    `experts`: those that are known, else they are learned inside the training part."""
    model = fit_als(data.train, als)
    if settings.blend is None or not als.is_implicit or (experts is not None and not experts):
        return model, None
    wanted = settings.blend(als)
    fitted = fit_parts(data.train, wanted, model, content, data.known_groups)
    if fitted is None:
        return model, None
    learned = experts if experts is not None else _learned(data, wanted, content)
    return model, blend_of(fitted, learned, wanted)  # type: ignore[arg-type]


def _learned(data: TrainingData, wanted: BlendSettings, content: DataFrame | None) -> tuple[Expert, ...]:
    return tuple(map(rounded, fit_experts(data.train, wanted, content, data.known_follows, data.known_groups)))


def own_lists(data: TrainingData, als: AlsModel, blend: Blend | None, settings: TrainingSettings) -> dict[str, DataFrame]:
    """The lists of ALS and of the blend for the users who are wanted, of items that they had not met before the moment."""
    made = {"als": list_als(als, data.train, data.users, settings.k, settings.user_batch_size)}
    if blend is not None:
        catalogue = blend.catalogue(data.train.sparkSession)
        members = None if data.known_groups is None else data.known_groups.members
        rows = history_rows(data.train, catalogue, als.user_factors, blend.max_history, data.users, data.known_follows, members)
        made["blend"] = list_blend(blend, rows, settings.k)
    return made


def baseline_lists(data: TrainingData, settings: TrainingSettings) -> dict[str, DataFrame]:
    """The lists of BASELINES."""
    train, users, k = data.train, data.users, settings.k
    return {
        "random": list_random(train, users, train, k, settings.space.seed),
        "popularity": list_popular(popularity(train), users, train, k, settings.user_batch_size),
    }


def beats(
    chosen: Selected, rival: Recommender, data: TrainingData, content: DataFrame | None, settings: TrainingSettings, keep: Keep
) -> bool:
    """Whether what was chosen is better than the champion by the paired test on the validation users.

    A champion that was trained before the moment is compared as it serves. A later one has seen what is sought: its specification
    is fitted on the training part instead; where it is the new one's, they are equal. Cost: the champion's lists, perhaps a fit.
    """
    spec = rival.spec
    has_seen = data.moment is None or spec.trained_until is None or spec.trained_until > data.moment
    if has_seen and spec.decided == chosen.spec.decided:
        return False
    if has_seen:
        als, blend = fit_both(data, spec.als, spec.experts, content, settings)
        lists = own_lists(data, als, blend, settings).get(spec.serves)
    else:
        lists = shadow_lists(rival, data, settings)
    if lists is None:
        return True
    mine = chosen.lists.where(F.col("model") == chosen.spec.serves).withColumn("model", F.lit("new"))
    both = mine.unionByName(_named(lists, "champion"))
    per_user = keep(user_metrics(both, data.part(True), [settings.k], ["new", "champion"]))
    found = bootstrap(per_user, f"ndcg@{settings.k}", ["new", "champion"], settings.space.seed)
    return is_better(found, "new", "champion", settings.max_p_value)


def shadow_lists(model: Recommender, data: TrainingData, settings: TrainingSettings) -> DataFrame:
    """The lists of a saved recommender as it serves, by what was known at the moment: user_id, rank, item_id, score. Lazy."""
    train, users, wanted = data.train, data.users, ListSettings(settings.k, settings.user_batch_size)
    als = model.als(train.sparkSession)
    lists = list_recommender(model, als, train, users, None, wanted, data.known_follows, data.known_profiles)
    filled = fill_with_als(model, als, train, users, lists, wanted)
    return lists if filled is None else backfill_lists([lists, filled], settings.k)


def compare_recommenders(
    new: Recommender, old: Recommender, data: TrainingData, settings: TrainingSettings, keep: Keep
) -> tuple[int, Replicates]:
    """How many users met something after the moment, and the paired bootstrap of NDCG@k of the models "new" and "old", both as they
    serve. Neither may have seen an event after the moment. Cost: two lists a user, one evaluation pass, one shuffle by user."""
    lists = _named(shadow_lists(new, data, settings), "new").unionByName(_named(shadow_lists(old, data, settings), "old"))
    wanted = data.wanted.drop("is_validation")
    per_user = keep(user_metrics(lists, wanted, [settings.k], ["new", "old"]))
    return data.users.count(), bootstrap(per_user, f"ndcg@{settings.k}", ["new", "old"], settings.space.seed)


def fit_chosen(
    data: TrainingData, spec: RecommenderSpec, content: DataFrame | None, settings: TrainingSettings
) -> tuple[AlsModel, Blend | None]:
    """What serves, fitted on everything: ALS, and the blend where it is the better."""
    als = fit_als(data.everything, spec.als)
    if spec.serves != "blend" or settings.blend is None:
        return als, None
    wanted = settings.blend(spec.als)
    fitted = fit_parts(data.everything, wanted, als, content, user_groups(data.profiles))
    return als, None if fitted is None else blend_of(fitted, spec.experts, wanted)


def _named(rows: DataFrame, name: str) -> DataFrame:
    model: Column = F.lit(name).alias("model")
    return rows.select(model, "user_id", "rank", "item_id", "score")
