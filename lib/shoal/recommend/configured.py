"""Settings of models, from the sections of conf."""

from __future__ import annotations

from collections.abc import Sequence

from shoal.conf import BanditsConf, BlendConf, ContentConf
from shoal.recommend.als import AlsSettings
from shoal.recommend.bandits import BanditSettings
from shoal.recommend.blend import BlendSettings
from shoal.recommend.content import ContentSettings
from shoal.recommend.ease import EaseSettings


def blend_settings(conf: BlendConf, als: AlsSettings, experts: Sequence[str]) -> BlendSettings:
    """The blend, with ALS as it is fitted there and the experts it has."""
    # An item of one user has no neighbour that another user shares, and leaving such out halves the matrix.
    windows = EaseSettings(
        conf.window_l2, conf.window_weight, tuple(conf.window_lengths), conf.max_items, conf.max_history, min_users=2
    )
    return BlendSettings(windows, als, conf.holdout, conf.candidates, conf.learning_users, als.seed, tuple(experts))


def content_settings(conf: ContentConf) -> ContentSettings:
    """Terms and their regression."""
    return ContentSettings(conf.max_terms, conf.min_items, conf.l2)


def bandit_settings(conf: BanditsConf) -> BanditSettings:
    """The policies that choose what to show."""
    return BanditSettings(conf.epsilon, conf.exploration, conf.prior_successes, conf.prior_failures, conf.max_arms)
