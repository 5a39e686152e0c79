"""What the features of a post are, for Spark and for programs without it: names, spans and patterns of Java's syntax."""

from __future__ import annotations

# Spans of an author's known posts whose means are features.
SPANS = (5, 20, 50)
# What a post says, when, and its author's profile; all doubles.
POST_FEATURES = (
    "hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "is_weekend", "season_sin", "season_cos", "text_length", "word_count",
    "hashtag_count", "mention_count", "emoji_count", "link_count", "exclamation_count", "has_question", "is_quote", "upper_share",
    "is_video_post", "has_place", "is_verified_author", "followers_log", "following_log", "account_age_log",
)  # fmt: skip
# What is known of an author's past of a count, after its name.
HISTORY_FEATURES = ("last", *(f"mean_{span}" for span in SPANS), "mean_all", "deviation_20", "maximum_20")
# Numbers that are an author's past relative to the level.
RELATIVE = ("last", "mean_5", "mean_50", "mean_all", "maximum_20")

# Posts that a count needs before its own level stands alone; below, the level of all posts fills up.
LEVEL_POSTS = 5
# A post of a book's length says no more of its success with its end.
MAX_TEXT_LENGTH = 5_000
# A number at one deviation weighs beside words, whose vectors have length 1, as measured on two accounts of Twitter.
NUMBER_SCALE = 0.3
# Deviations at which a number is cut: an outlier is no lever.
MAX_DEVIATIONS = 5.0
# A number that varied less in training says nothing.
LEAST_DEVIATION = 1e-9

WORD = r"\S+"
HASHTAG = r"#[\p{L}\p{N}_]+"
MENTION = r"@\w+"
EMOJI = r"[\x{1F300}-\x{1FAFF}\x{2600}-\x{27BF}\x{1F1E6}-\x{1F1FF}]"
LINK = r"[hH][tT][tT][pP][sS]?://|[wW][wW][wW]\."
QUOTE = r'^\s*(RT @|["“]@)'
LETTERLESS, NOT_UPPER = r"[^\p{L}]", r"[^\p{Lu}]"
TERM = r"[\p{L}\p{M}\p{N}_@#'’]+|\p{So}"
