"""What part each text has: in a campaign, in a conversation, or alone; as functions of a text's number (numpy, no state).

A seeded permutation gives each text a slot, so that an id says nothing of its part. The first slots are campaigns of
`campaign_texts` each, the next ones conversations of up to `conversation_texts`, the rest stands alone. Who speaks in a
conversation, and when, is drawn place by place from (conversation, place), so a text knows the whole of its own without a join.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.arrays import Doubles
from shoal.simulate.draws import Longs, permute, uniform_array
from shoal.simulate.world import WorldConf

# Two people talk, in four of ten conversations three; in one text of five the speaker before goes on.
_THIRD_SHARE, _GOES_ON_SHARE = 0.4, 0.2
# Three of four texts answer the one before, the others any earlier one.
_LAST_SHARE = 0.75


@dataclass(frozen=True)
class Roles:
    """Parts of texts in parallel arrays.

    campaign, conversation: their numbers, -1 for none. place: within the conversation, 0 for the first and for texts alone.
    about: the number of the text whose item and time this one shares (its conversation's first; else itself). voice: the number of
    the text whose author this one has. parent: the number of the text that it answers, -1 for none. delay: seconds after the
    conversation's first text; span: seconds from that to its last one.
    """

    campaign: Longs
    conversation: Longs
    place: Longs
    about: Longs
    voice: Longs
    parent: Longs
    delay: Longs
    span: Longs


def role_counts(conf: WorldConf) -> tuple[int, int]:
    """How many campaigns and how many conversations a world has. A conversation has (2 + conversation_texts) / 2 texts on the
    average."""
    campaigns = round(conf.texts * conf.campaign_share / conf.campaign_texts)
    return campaigns, round(conf.texts * conf.conversation_share * 2 / (2 + conf.conversation_texts))


def roles_of_texts(conf: WorldConf, texts: Longs) -> Roles:
    """The part of each text. Without campaigns and conversations every text is alone."""
    campaigns, conversations = role_counts(conf)
    none, zero = np.full(len(texts), -1, dtype=np.int64), np.zeros(len(texts), dtype=np.int64)
    if not campaigns and not conversations:
        return Roles(none, none, zero, texts, texts, none, zero, zero)
    width, first = conf.conversation_texts, campaigns * conf.campaign_texts
    slots = permute(conf.seed, "text-role", texts, conf.texts)
    campaign = np.where(slots < first, slots // conf.campaign_texts, -1)
    number, place = np.divmod(slots - first, width)
    sizes = 2 + np.floor(uniform_array(conf.seed, "talk-size", number) * (width - 1)).astype(np.int64)
    # The last block may lie beyond the last text.
    is_whole = first + (number + 1) * width <= conf.texts
    talks = (slots >= first) & (number < conversations) & (place < sizes) & is_whole
    place = np.where(talks, place, 0)

    def text_at(other: Longs) -> Longs:
        """The text at another place of the same conversation."""
        found = permute(conf.seed, "text-role", np.where(talks, first + number * width + other, slots), conf.texts, back=True)
        return np.where(talks, found, texts)

    answered = np.where(
        uniform_array(conf.seed, "talk-last", number, place) < _LAST_SHARE,
        place - 1,
        np.floor(uniform_array(conf.seed, "talk-parent", number, place) * place).astype(np.int64),
    )
    return Roles(
        campaign,
        np.where(talks, number, -1),
        place,
        text_at(zero),
        text_at(_speakers(conf, number, place, sizes)),
        np.where(place > 0, text_at(np.maximum(answered, 0)), -1),
        np.where(talks, _delays(conf, number, place), 0),
        np.where(talks, _delays(conf, number, sizes - 1), 0),
    )


def _speakers(conf: WorldConf, conversation: Longs, place: Longs, sizes: Longs) -> Longs:
    """Who speaks at each place: 0, 1 or 2. The second text is another person's."""
    people = np.minimum(2 + (uniform_array(conf.seed, "talk-third", conversation) < _THIRD_SHARE), sizes)
    speaking = np.zeros(len(place), dtype=np.int64)
    found = speaking
    for step in range(1, conf.conversation_texts):
        at = np.full(len(place), step, dtype=np.int64)
        goes_on = (uniform_array(conf.seed, "talk-goes-on", conversation, at) < _GOES_ON_SHARE) & (step > 1)
        turn = 1 + np.floor(uniform_array(conf.seed, "talk-turn", conversation, at) * (people - 1)).astype(np.int64)
        speaking = np.where(goes_on, speaking, (speaking + turn) % people)
        found = np.where(place == step, speaking, found)
    return found


def _delays(conf: WorldConf, conversation: Longs, place: Longs) -> Longs:
    """Seconds from the first text to each place: exponential steps of reply_minutes on the average, of a second at least."""
    total: Doubles = np.zeros(len(place))
    for step in range(1, conf.conversation_texts):
        draw = uniform_array(conf.seed, "talk-delay", conversation, np.full(len(place), step, dtype=np.int64))
        total += np.where(place >= step, 1 - np.log(1 - draw) * conf.reply_minutes * 60, 0)
    return np.floor(total).astype(np.int64)
