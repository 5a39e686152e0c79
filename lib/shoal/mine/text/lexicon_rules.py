"""The lexicon and rules of VADER on one text (Hutto and Gilbert, ICWSM 2014; package vaderSentiment, MIT). No Spark."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.metadata import version
from types import SimpleNamespace

from vaderSentiment.vaderSentiment import BOOSTER_DICT, NEGATE, SentimentIntensityAnalyzer, SentiText

from shoal.mine.text.language_rules import UNKNOWN, detect

NEGATIVE, NEUTRAL, POSITIVE = "negative", "neutral", "positive"
# From here on a text is not neutral: the cut that the lexicon's authors give.
NEUTRAL_BELOW = 0.05
# A text with one of these words is taken for English without a look at the rest, which is most texts and costs nothing. None of
# them is a frequent word of German, Dutch, Scandinavian or Romance languages.
_ENGLISH = frozenset(
    ("the", "and", "you", "your", "this", "that", "with", "have", "they", "their", "would", "because", "about", "don't", "it's",
     "i'm", "what", "when", "just", "like", "from", "been", "were", "my", "not", "but", "who", "which", "there", "these", "very",
     "really", "good", "love")
)  # fmt: skip
LANGUAGE = "en"
# From here on another language is sure: of English tweets and sentences that are scored, fewer than 1 in 300 lose their words.
SURE_OF_LANGUAGE, MIN_WORDS = 0.8, 3
# The package looks through its list of them for every word before a word of the lexicon: a quarter of its time.
_NEGATIONS = frozenset(NEGATE)
_WORDS = re.compile(r"[^\W\d_]{2,}")
# What a rule looks at on either side of a word.
_REACH = 3


class WindowedAnalyzer(SentimentIntensityAnalyzer):
    """The package's analyser with equal scores in linear time: rules see the words around a word of the lexicon, not all words, and
    are asked of such words only."""

    def polarity_scores(self, text: str) -> dict[str, float]:
        """Return compound (-1..1) and the shares neg, neu and pos (0..1) of a text."""
        seen = SentiText(text.strip() if text.isascii() else self._described(text))
        words = seen.words_and_emoticons
        lower = [word.lower() for word in words]
        sentiments: list[float] = []
        for i, word in enumerate(lower):
            if word not in self.lexicon or word in BOOSTER_DICT or (word == "kind" and lower[i + 1 : i + 2] == ["of"]):
                sentiments.append(0)
                continue
            start = max(0, i - _REACH)
            around = SimpleNamespace(words_and_emoticons=words[start : i + _REACH + 1], is_cap_diff=seen.is_cap_diff)
            self.sentiment_valence(0, around, words[i], i - start, sentiments)
        sentiments = self._but_check(words, sentiments) if "but" in lower else sentiments
        scores: dict[str, float] = self.score_valence(sentiments, seen.text)
        return scores

    @staticmethod
    def _negation_check(valence: float, words: list[str], before: int, i: int) -> float:
        """The valence of word i after the package's rule about the word `before` + 1 places earlier: only a negation changes it,
        or, three places earlier, a `so` or `this` right before i."""
        word = words[i - before - 1].lower()
        is_changed = word in _NEGATIONS or "n't" in word or (before == 2 and words[i - 1].lower() in ("so", "this"))
        if not is_changed:
            return valence
        changed: float = SentimentIntensityAnalyzer._negation_check(valence, words, before, i)
        return changed

    def _described(self, text: str) -> str:
        """The text with its emoji as words."""
        pieces, after_space = [], True
        for character in text:
            described = self.emojis.get(character)
            pieces += [character] if described is None else [described] if after_space else [" ", described]
            after_space = described is None and character == " "
        return "".join(pieces).strip()


def lexicon_version() -> str:
    """The name and version that rows carry in model_version: `vader/3.3.2/en`, the language that words count of."""
    return f"vader/{version('vaderSentiment')}/{LANGUAGE}"


def lexicon_scores(text: str) -> dict[str, float]:
    """compound (-1..1) and the shares neg, neu and pos (0..1) of a text. Of a text in another language only what is no word counts;
    the language is asked for only where words of the lexicon were found."""
    scores = analyzer().polarity_scores(text)
    if scores["pos"] + scores["neg"] > 0 and is_foreign(text):
        return analyzer().polarity_scores(_WORDS.sub(" ", text))
    return scores


def is_foreign(text: str) -> bool:
    """Whether the words of a text are surely of another language than the lexicon's: MIN_WORDS words and more, none of them one of
    the most frequent English ones, and a language that is not English with a confidence of SURE_OF_LANGUAGE and more."""
    words = _WORDS.findall(text)
    if len(words) < MIN_WORDS or not _ENGLISH.isdisjoint(text.lower().split()):
        return False
    language, confidence = detect(text)
    return language not in (LANGUAGE, UNKNOWN) and confidence >= SURE_OF_LANGUAGE


def label_of(polarity: float) -> str:
    """`positive` from NEUTRAL_BELOW on, `negative` from minus that down, else `neutral`."""
    return POSITIVE if polarity >= NEUTRAL_BELOW else NEGATIVE if polarity <= -NEUTRAL_BELOW else NEUTRAL


@lru_cache(maxsize=1)
def analyzer() -> WindowedAnalyzer:
    """Return the analyser of this process; the lexicon is read once."""
    return WindowedAnalyzer()
