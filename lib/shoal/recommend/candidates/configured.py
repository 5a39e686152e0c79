"""Settings of models, from the sections of conf."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shoal.conf.sections import BanditsConf, BlendConf, ContentConf, SimilarConf
from shoal.experiment.bandits import BanditSettings
from shoal.recommend.candidates.als import AlsSettings
from shoal.recommend.candidates.blend import BlendSettings
from shoal.recommend.candidates.content import ContentSettings
from shoal.recommend.candidates.ease import EaseSettings
from shoal.recommend.candidates.neighbours import NeighbourSettings
from shoal.recommend.candidates.transitions import TransitionSettings
from shoal.recommend.candidates.vector_neighbours import VectorSettings
from shoal.recommend.candidates.word_vectors import WordSettings


def blend_settings(
    conf: BlendConf, content: ContentConf, als: AlsSettings, experts: Sequence[str], is_after_last: bool = False
) -> BlendSettings:
    """The blend, with ALS as it is fitted there and the experts it has; `is_after_last`: see BlendSettings."""
    # An item of one user has no neighbour that another user shares, and leaving such out halves the matrix.
    windows = EaseSettings(
        conf.window_l2, conf.window_weight, tuple(conf.window_lengths), conf.max_items, conf.max_history, min_users=2,
        max_sparse_items=conf.max_sparse_items, neighbours=conf.sparse_neighbours,
    )  # fmt: skip
    following = TransitionSettings(conf.transition_life, conf.transitions)
    walk = NeighbourSettings("walk", beta=conf.walk_beta, neighbours=conf.walk_neighbours)
    return BlendSettings(
        windows, following, walk, content_settings(content), als, conf.holdout, conf.candidates, conf.learning_users,
        conf.learning_events, als.seed, conf.known_share, tuple(experts), is_after_last,
    )  # fmt: skip


def training_blend(conf: BlendConf, content: ContentConf, experts: Sequence[str]) -> Callable[[AlsSettings], BlendSettings]:
    """The blend's settings over those of the ALS that a training has chosen."""
    return lambda als: blend_settings(conf, content, als, experts)


def content_settings(conf: ContentConf) -> ContentSettings:
    """Terms, vectors beside them, and their regression."""
    return ContentSettings(conf.max_terms, conf.min_items, conf.l2, conf.vector_weight)


def vector_settings(conf: SimilarConf, block: int) -> VectorSettings:
    """Neighbours by vectors, so many items being ranked at once."""
    return VectorSettings(conf.neighbours, conf.exact_items, conf.probes, conf.max_list, block, conf.seed)


def word_settings(conf: SimilarConf) -> WordSettings:
    """Vectors of words."""
    return WordSettings(conf.word_size, conf.word_window, conf.word_iterations, conf.word_items, conf.seed)


def bandit_settings(conf: BanditsConf) -> BanditSettings:
    """The policies that choose what to show."""
    return BanditSettings(conf.epsilon, conf.exploration, conf.prior_successes, conf.prior_failures, conf.max_arms)
