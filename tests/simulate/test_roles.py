"""Campaigns and conversations: which texts belong together, by numpy alone."""

from __future__ import annotations

import dataclasses

import numpy as np
from shoal.simulate.roles import Roles, role_counts, roles_of_texts
from shoal.simulate.world import WorldConf

CONF = WorldConf(
    texts=400, campaign_share=0.1, campaign_texts=5, conversation_share=0.3, conversation_texts=7, reply_minutes=20, seed=3
)
ALL = np.arange(CONF.texts, dtype=np.int64)


def columns(roles: Roles) -> dict[str, np.ndarray]:
    return {field.name: getattr(roles, field.name) for field in dataclasses.fields(roles)}


def test_without_them_every_text_is_alone() -> None:
    found = columns(roles_of_texts(WorldConf(texts=400), ALL))
    for name in ("campaign", "conversation", "parent"):
        assert (found[name] == -1).all()
    for name in ("place", "delay", "span"):
        assert (found[name] == 0).all()
    for name in ("about", "voice"):
        assert (found[name] == ALL).all()


def test_campaigns_have_their_texts_and_no_conversation() -> None:
    found = roles_of_texts(CONF, ALL)
    assert role_counts(CONF) == (8, 27)  # 400 * .1 / 5; 400 * .3 * 2 / (2 + 7) = 26.7
    assert np.bincount(found.campaign[found.campaign >= 0]).tolist() == [5] * 8
    assert (found.conversation[found.campaign >= 0] == -1).all()
    # A permutation spreads them over the ids.
    assert np.ptp(np.flatnonzero(found.campaign == 0)) > 50


def test_a_conversation_is_whole_and_each_reply_answers_an_earlier_text_of_it() -> None:
    found = roles_of_texts(CONF, ALL)
    assert set(found.conversation) == {-1, *range(27)}
    sizes, spans, third = [], [], 0
    for number in range(27):
        texts = np.flatnonzero(found.conversation == number)
        texts = texts[np.argsort(found.place[texts])]
        sizes.append(len(texts))
        assert found.place[texts].tolist() == list(range(len(texts)))
        assert (found.about[texts] == texts[0]).all()
        assert set(found.voice[texts]) <= set(texts[:3])
        # The first text's author begins, the second is somebody else's.
        assert found.voice[texts[0]] == texts[0]
        assert found.voice[texts[1]] != texts[0]
        third += len(set(found.voice[texts])) > 2
        assert found.parent[texts[0]] == -1
        assert found.parent[texts[1]] == texts[0]
        assert all(parent in texts[:place] for place, parent in enumerate(found.parent[texts]) if place)
        assert found.delay[texts[0]] == 0
        assert (found.span[texts] == found.delay[texts[-1]]).all()
        assert (np.diff(found.delay[texts]) >= 1).all()
        spans += np.diff(found.delay[texts]).tolist()
    assert (min(sizes), max(sizes)) == (2, 7)
    assert 0 < third < 20
    # 20 minutes on the average; the mean of so many exponential times has a standard error of a tenth.
    assert 900 < np.mean(spans) < 1_500


def test_a_text_knows_its_part_alone() -> None:
    some = ALL[5::37]
    whole, part = columns(roles_of_texts(CONF, ALL)), columns(roles_of_texts(CONF, some))
    for name, values in part.items():
        assert (values == whole[name][some]).all(), name


def test_conversations_that_would_not_fit_are_left_out() -> None:
    # Eight slots of campaigns, then conversations of up to five from slots 8, 13 and 18: the third would need slots up to 22.
    conf = WorldConf(texts=20, conversation_share=0.5, conversation_texts=5, campaign_share=0.4, campaign_texts=4)
    assert role_counts(conf) == (2, 3)
    found = roles_of_texts(conf, np.arange(20, dtype=np.int64))
    assert set(found.conversation) == {-1, 0, 1}
    for numbers in (found.about, found.voice, found.parent[found.parent >= 0]):
        assert set(numbers) <= set(range(20))
