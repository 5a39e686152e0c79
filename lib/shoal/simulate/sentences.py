"""Sentences, hashtags and sentiments as Columns: word lists and seeded draws, one draw a choice.

Every function takes the number of the row as `key` and the name of a stream: equal names and keys give equal words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.simulate.draws import uniform_column
from shoal.simulate.words import (
    ADJECTIVES,
    CLOSINGS,
    INTENSITIES,
    NEGATION,
    OPENINGS,
    SENTIMENTS,
    SPAM_CALLS,
    SPAM_HASHTAGS,
    SPAM_OFFERS,
    SPAM_OPENINGS,
    TOPICS,
)
from shoal.simulate.world import WorldConf

# No word holds the unit separator.
_SEPARATOR = "\x1f"
# What people write is more often pleased than not.
_SENTIMENT_SHARES = (0.45, 0.30)
_NEGATED_SHARE = 0.08
# A second statement makes two of three texts longer.
_LONGER_SHARE = 0.67
# Half of the texts end in a phrase that gives the sentiment away; the others hang on their adjectives.
_CLOSED_SHARE = 0.5


def word_list(words: Sequence[str]) -> Column:
    """The words as one constant array (a joined literal that the optimiser splits once, not a literal a word)."""
    return F.split(F.lit(_SEPARATOR.join(words)), _SEPARATOR)


def choose(conf: WorldConf, stream: str, key: Column, words: Sequence[str]) -> Column:
    """One of the words, each as likely."""
    place = F.floor(uniform_column(conf.seed, stream, key) * len(words)).cast("int") + 1
    return F.element_at(word_list(words), place)


def choose_for(conf: WorldConf, stream: str, key: Column, kind: Column, words: Sequence[Sequence[str]]) -> Column:
    """One of the words in list number `kind` (0 is the first list; all lists are equally long)."""
    width = len(words[0])
    place = kind * width + F.floor(uniform_column(conf.seed, stream, key) * width)
    return F.element_at(word_list([word for part in words for word in part]), place.cast("int") + 1)


def true_sentiment(conf: WorldConf, stream: str, key: Column) -> Column:
    """The sentiment of a text, an index into words.SENTIMENTS."""
    draw = uniform_column(conf.seed, f"{stream}/sentiment", key)
    positive, negative = _SENTIMENT_SHARES
    return F.when(draw < positive, 0).when(draw < positive + negative, 1).otherwise(2)


def noisy_label(conf: WorldConf, stream: str, key: Column, sentiment: Column, is_spam: Column) -> Column:
    """The sentiment's name as a labeller gave it: null for spam and unlabelled texts, wrong in `label_noise` of the rest."""
    wrong = uniform_column(conf.seed, f"{stream}/wrong", key) < conf.label_noise
    turn = 1 + F.floor(uniform_column(conf.seed, f"{stream}/other-label", key) * 2)
    seen = F.when(wrong, (sentiment + turn) % 3).otherwise(sentiment).cast("int")
    name = F.element_at(word_list(SENTIMENTS), seen + 1)
    return F.when(~is_spam & (uniform_column(conf.seed, f"{stream}/labelled", key) < conf.label_share), name)


def written_text(conf: WorldConf, stream: str, key: Column, topic: Column, sentiment: Column, is_spam: Column) -> Column:
    """One to three sentences on a topic in a sentiment; for spam, an offer with a call to act."""
    first = F.concat_ws(
        " ",
        choose(conf, f"{stream}/opening", key, OPENINGS),
        choose_for(conf, f"{stream}/action", key, topic, [t.actions for t in TOPICS]),
        F.concat(F.lit("the "), _noun(conf, f"{stream}/noun", key, topic), F.lit(".")),
    )
    text = F.concat_ws(
        " ",
        first,
        _statement(conf, f"{stream}/first", key, topic, sentiment),
        F.when(
            uniform_column(conf.seed, f"{stream}/longer", key) < _LONGER_SHARE,
            _statement(conf, f"{stream}/second", key, topic, sentiment),
        ),
        F.when(
            uniform_column(conf.seed, f"{stream}/closed", key) < _CLOSED_SHARE,
            _by_sentiment(conf, f"{stream}/closing", key, sentiment, CLOSINGS),
        ),
    )
    spam = F.concat_ws(
        " ",
        choose(conf, f"{stream}/spam-opening", key, SPAM_OPENINGS),
        choose(conf, f"{stream}/spam-offer", key, SPAM_OFFERS),
        F.concat(F.lit("- "), choose(conf, f"{stream}/spam-call", key, SPAM_CALLS), F.lit("!!!")),
    )
    return F.when(is_spam, spam).otherwise(text)


def written_title(conf: WorldConf, stream: str, key: Column, topic: Column) -> Column:
    """A short title: an adjective of no sentiment and a noun of the topic."""
    adjective = choose(conf, f"{stream}/title", key, ADJECTIVES["neutral"])
    return F.initcap(F.concat_ws(" ", adjective, _noun(conf, f"{stream}/noun", key, topic)))


def chosen_hashtags(conf: WorldConf, stream: str, key: Column, topic: Column, is_spam: Column) -> Column:
    """One to three different hashtags, without the sign, in the order they were written."""
    tags = [choose_for(conf, f"{stream}/tag/{n}", key, topic, [t.hashtags for t in TOPICS]) for n in range(3)]
    count = 1 + F.floor(uniform_column(conf.seed, f"{stream}/tags", key) * 3).cast("int")
    spam = [choose(conf, f"{stream}/spam-tag/{n}", key, SPAM_HASHTAGS) for n in range(3)]
    return F.array_distinct(F.slice(F.when(is_spam, F.array(*spam)).otherwise(F.array(*tags)), F.lit(1), count))


def _statement(conf: WorldConf, stream: str, key: Column, topic: Column, sentiment: Column) -> Column:
    """`The noun seemed really adjective.`, sometimes with another sentiment's word or a negated opposite."""
    noise = uniform_column(conf.seed, f"{stream}/word-noise", key) < conf.word_noise
    turn = 1 + F.floor(uniform_column(conf.seed, f"{stream}/other-word", key) * 2)
    spoken = F.when(noise, (sentiment + turn) % 3).otherwise(sentiment)
    is_negated = (spoken < 2) & (uniform_column(conf.seed, f"{stream}/negated", key) < _NEGATED_SHARE)
    shown = F.when(is_negated, 1 - spoken).otherwise(spoken)
    strength = F.when(is_negated, F.lit(NEGATION)).otherwise(choose(conf, f"{stream}/strength", key, INTENSITIES))
    adjective = _by_sentiment(conf, f"{stream}/adjective", key, shown, ADJECTIVES)
    return F.concat(F.concat_ws(" ", F.lit("The"), _noun(conf, f"{stream}/noun", key, topic), F.lit("seemed"), strength,
                                adjective), F.lit("."))  # fmt: skip


def _by_sentiment(conf: WorldConf, stream: str, key: Column, sentiment: Column, words: Mapping[str, tuple[str, ...]]) -> Column:
    """One of the words of a sentiment (an index into words.SENTIMENTS)."""
    return choose_for(conf, stream, key, sentiment, [words[name] for name in SENTIMENTS])


def _noun(conf: WorldConf, stream: str, key: Column, topic: Column) -> Column:
    """One of the topic's nouns."""
    return choose_for(conf, stream, key, topic, [t.nouns for t in TOPICS])
