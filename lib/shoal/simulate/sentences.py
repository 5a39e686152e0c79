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
    EMOTIONS,
    EMOTIONS_BY_SENTIMENT,
    FEELINGS,
    INTENSITIES,
    NEGATION,
    OPENINGS,
    REACTIONS,
    SENTIMENTS,
    SPAM_CALLS,
    SPAM_FAREWELLS,
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


def noisy_label(conf: WorldConf, stream: str, key: Column, truth: Column, names: Sequence[str]) -> Column:
    """The name of number `truth` as a labeller gave it: null for texts without a label, wrong in `label_noise` of the rest."""
    wrong = uniform_column(conf.seed, f"{stream}/wrong", key) < conf.label_noise
    turn = 1 + F.floor(uniform_column(conf.seed, f"{stream}/other-label", key) * (len(names) - 1))
    seen = F.when(wrong, (truth + turn) % len(names)).otherwise(truth).cast("int")
    name = F.element_at(word_list(names), seen + 1)
    return F.when(uniform_column(conf.seed, f"{stream}/labelled", key) < conf.label_share, name)


def true_emotion(conf: WorldConf, stream: str, key: Column, sentiment: Column) -> Column:
    """The emotion of a text, an index into words.EMOTIONS: one that goes with its sentiment, or none (neutral)."""
    ways = [EMOTIONS_BY_SENTIMENT[name] for name in SENTIMENTS]
    chosen = choose_for(conf, f"{stream}/emotion", key, sentiment, ways)
    felt = F.call_function("array_position", word_list(EMOTIONS), chosen) - 1
    is_felt = uniform_column(conf.seed, f"{stream}/felt", key) < conf.emotion_share
    return F.when(is_felt, felt).otherwise(EMOTIONS.index("neutral"))


def written_emotion(conf: WorldConf, stream: str, key: Column, emotion: Column) -> Column:
    """A sentence or two of an emotion (an index into words.EMOTIONS), with another's word in `word_noise`; null for neutral."""
    kinds = EMOTIONS[:-1]
    noise = uniform_column(conf.seed, f"{stream}/feeling-noise", key) < conf.word_noise
    turn = 1 + F.floor(uniform_column(conf.seed, f"{stream}/other-feeling", key) * (len(kinds) - 1))
    shown = F.when(noise, (emotion + turn) % len(kinds)).otherwise(emotion)
    feeling = choose_for(conf, f"{stream}/feeling", key, shown, [FEELINGS[name] for name in kinds])
    strength = choose(conf, f"{stream}/feeling-strength", key, INTENSITIES)
    said = F.concat(F.concat_ws(" ", F.lit("I felt"), strength, feeling), F.lit("."))
    reaction = choose_for(conf, f"{stream}/reaction", key, emotion, [REACTIONS[name] for name in kinds])
    reacts = uniform_column(conf.seed, f"{stream}/reacts", key) < _CLOSED_SHARE
    return F.when(emotion < len(kinds), F.concat_ws(" ", said, F.when(reacts, reaction)))


def written_text(conf: WorldConf, stream: str, key: Column, topic: Column, sentiment: Column, is_spam: Column) -> Column:
    """One to three sentences on a topic in a sentiment; for spam, an offer with a call to act, or, in `quiet_spam_share`, the
    sentences and the call."""
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
    if conf.quiet_spam_share == 0:
        return F.when(is_spam, spam).otherwise(text)
    is_quiet = uniform_column(conf.seed, f"{stream}/quiet-spam", key) < conf.quiet_spam_share
    quiet = F.concat(text, F.lit(" "), choose(conf, f"{stream}/spam-call", key, SPAM_CALLS), F.lit("."))
    return F.when(is_spam & ~is_quiet, spam).when(is_spam, quiet).otherwise(text)


def written_campaign(conf: WorldConf, stream: str, campaign: Column, key: Column) -> Column:
    """The spam text of a campaign, all its words but the last the campaign's own: the last is each text's (`key`)."""
    offers = [choose(conf, f"{stream}/offer/{n}", campaign, SPAM_OFFERS) for n in range(2)]
    return F.concat_ws(
        " ",
        choose(conf, f"{stream}/opening", campaign, SPAM_OPENINGS),
        F.concat(offers[0], F.lit(",")),
        F.concat(offers[1], F.lit(" -")),
        choose(conf, f"{stream}/call", campaign, SPAM_CALLS),
        F.concat(choose(conf, f"{stream}/farewell", key, SPAM_FAREWELLS), F.lit("!!!")),
    )


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
