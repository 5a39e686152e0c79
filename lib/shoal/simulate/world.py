"""The parameters of a simulated world: sizes, dates and every planted parameter, checked.

The same `WorldConf` always gives the same world. docs/simulate.md explains each parameter and how to measure it back.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Days before the window over which old items appeared and old follows were made.
ITEM_HISTORY_DAYS = 180
FOLLOW_HISTORY_DAYS = 730
# A liker's generation in a cascade is at most this; the tail beyond is under 1% of the spread at the default rates.
MAX_GENERATION = 5
# The demo's day is fixed, so that everybody's demo is the same.
DEMO_AS_OF = date(2025, 6, 30)


class WorldConf(BaseModel):
    """Sizes, dates and planted parameters of a world; unknown names and values out of range are refused (ValidationError).

    Shares and rates are in 0..1. A `*_tail` is the exponent a of a bounded Pareto's tail, P(X > x) ~ x^-a, and a `*_span`
    the ratio of its largest to its smallest value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Sizes. Events include the likes that spread, so their number is met to a few percent.
    users: int = Field(default=1_500, ge=10, le=100_000_000, description="users")
    items: int = Field(default=800, ge=10, le=100_000_000, description="items: posts and products")
    events: int = Field(default=40_000, ge=0, le=10_000_000_000, description="events, likes that spread among them")
    texts: int = Field(default=3_000, ge=0, le=1_000_000_000, description="comments and reviews")
    old_follow_share: float = Field(default=0.8, ge=0, le=1, description="follows that are older than the window")
    follows_per_user: float = Field(default=7.0, ge=0, le=1_000, description="mean number of followers")
    # Dates: the window is [as_of - days, as_of), in UTC days.
    days: int = Field(default=120, ge=1, le=3_650, description="length of the window in days")
    as_of: date = Field(default=DEMO_AS_OF, description="the day before whose start everything has happened")
    seed: int = Field(default=42, description="another seed, another world")
    # Heavy tails. 1.25 and 100: the most active user does some 20 times the mean; 1.5: items; 1.5 and 150: followers.
    activity_tail: float = Field(default=1.25, gt=0.3, le=10)
    activity_span: float = Field(default=100.0, gt=1, le=1e6)
    popularity_tail: float = Field(default=1.5, gt=0.3, le=10)
    popularity_span: float = Field(default=60.0, gt=1, le=1e6)
    follower_tail: float = Field(default=1.5, gt=0.3, le=10)
    follower_span: float = Field(default=150.0, gt=1, le=1e6)
    # Communities: sizes follow a power law; each user has a share mu of the followers outside (Lancichinetti 2008).
    communities: int | None = Field(default=None, ge=1, le=20_000, description="null: half the square root of users")
    community_tail: float = Field(default=1.0, gt=0.3, le=10)
    community_span: float = Field(default=10.0, gt=1, le=1e4)
    mu: float = Field(default=0.2, ge=0, le=1, description="share of follows that cross communities")
    # Tastes: cosine of a member to the community's centre, and how strongly affinity decides between candidates.
    closeness: float = Field(default=0.75, ge=0, le=1)
    taste_strength: float = Field(default=4.0, ge=0, le=50)
    # Shares of what people do, likes apart; the rest is seen: a view, or a click at click_rate.
    like_share: float = Field(default=0.15, ge=0, le=0.9)
    rating_share: float = Field(default=0.20, ge=0, le=1)
    comment_share: float = Field(default=0.06, ge=0, le=1)
    share_share: float = Field(default=0.05, ge=0, le=1)
    save_share: float = Field(default=0.05, ge=0, le=1)
    purchase_share: float = Field(default=0.04, ge=0, le=1)
    click_rate: float = Field(default=0.15, ge=0, le=1)
    # Items and texts.
    old_item_share: float = Field(default=0.6, ge=0, le=1, description="items that are there before the window")
    product_share: float = Field(default=0.15, ge=0, le=1)
    spam_share: float = Field(default=0.05, ge=0, le=1)
    label_share: float = Field(default=0.7, ge=0, le=1, description="texts (spam apart) that carry a sentiment label")
    label_noise: float = Field(default=0.05, ge=0, le=1, description="labels that are wrong")
    word_noise: float = Field(default=0.12, ge=0, le=1, description="sentiment words of another sentiment than the text's")
    # Emotions, moderators, campaigns, conversations and pictures: none by default, as worlds were before them.
    emotion_share: float = Field(default=0.0, ge=0, le=1, description="texts (spam apart) that say an emotion; others: neutral")
    quiet_spam_share: float = Field(default=0.0, ge=0, le=1, description="spam that is a usual text with a call to act")
    moderated_share: float = Field(default=0.0, ge=0, le=1, description="texts and posts that the moderators have met")
    verdict_noise: float = Field(default=0.0, ge=0, le=1, description="moderators' labels of texts that are wrong")
    campaign_share: float = Field(default=0.0, ge=0, le=0.5, description="texts that are a spam text of several accounts")
    campaign_texts: int = Field(default=8, ge=2, le=1_000, description="texts of a campaign")
    conversation_share: float = Field(default=0.0, ge=0, le=0.5, description="texts that are part of a conversation")
    conversation_texts: int = Field(default=6, ge=2, le=50, description="texts of the longest conversations; the shortest have 2")
    reply_minutes: float = Field(default=40.0, gt=0, le=10_000, description="mean time to the next text of a conversation")
    pictures: int = Field(default=0, ge=0, le=1_000_000, description="items with a picture")
    copied_pictures: int = Field(default=0, ge=0, description="of them, those that are another's picture, a little lighter")
    broken_pictures: int = Field(default=0, ge=0, description="of them, those whose file ends in its middle")
    # Spread: the chance that a like passes along one follow (independent cascades), and the mean delay.
    transmission_rate: float = Field(default=0.03, ge=0, le=1)
    spread_delay_hours: float = Field(default=12.0, gt=0, le=10_000)
    # The shift: what changes in the last shift_days of the window.
    shift_days: int = Field(default=30, ge=0, le=3_650)
    rating_shift: float = Field(default=-0.6, ge=-5, le=5, description="added to the rating before rounding, in stars")
    mix_shift: float = Field(default=0.25, ge=0, le=1, description="share of views and clicks that turn into saves")
    hour_shift: int = Field(default=4, ge=0, le=23, description="hours by which the day is later")
    # The experiment: treatment clicks click_rate * (1 + lift), in the shift_days before the shift.
    lift: float = Field(default=0.3, ge=-1, le=100)
    # Share of the lines that are spoiled on purpose (docs/simulate.md).
    dirty_ratio: float = Field(default=0.0, ge=0, le=0.5)

    @model_validator(mode="after")
    def _fits_together(self) -> WorldConf:
        kinds = self.rating_share + self.comment_share + self.share_share + self.save_share + self.purchase_share
        if kinds > 1:
            raise ValueError(f"rating, comment, share, save and purchase shares add up to {kinds:g}, at most 1 is possible")
        if self.click_rate * (1 + self.lift) > 1:
            raise ValueError(f"click_rate * (1 + lift) is {self.click_rate * (1 + self.lift):g}, at most 1 is possible")
        if self.transmission_rate * self.follows_per_user >= 0.9:
            raise ValueError(
                f"transmission_rate * follows_per_user is {self.transmission_rate * self.follows_per_user:g}: "
                "from 0.9 on a like would reach everybody; lower one of them"
            )
        if self.communities is not None and self.communities * 5 > self.users:
            raise ValueError(f"{self.communities} communities for {self.users} users: at most one for five users")
        if self.pictures > self.items or self.pictures < 2 * self.copied_pictures + self.broken_pictures:
            raise ValueError(
                f"pictures is {self.pictures}: at most one an item ({self.items}), and no fewer than twice copied_pictures and "
                f"broken_pictures together ({2 * self.copied_pictures + self.broken_pictures})"
            )
        return self

    @property
    def community_count(self) -> int:
        """Number of communities: as given, else half the square root of the users, between 2 and 20,000."""
        return self.communities or min(max(round(self.users**0.5 / 2), 2), 20_000)

    @property
    def starts_at(self) -> int:
        """First second of the window, in unix seconds."""
        return self.ends_at - self.days * 86_400

    @property
    def ends_at(self) -> int:
        """First second after the window: the start of as_of, so that nothing lies in the future of as_of."""
        return int(datetime.combine(self.as_of, datetime.min.time(), timezone.utc).timestamp())

    @property
    def shift_at(self) -> int:
        """First second of the changed behaviour, in unix seconds; the window's end without a shift."""
        return max(self.ends_at - self.shift_days * 86_400, self.starts_at)

    @property
    def experiment_window(self) -> tuple[int, int]:
        """First second of the experiment and first second after it: the shift_days that end where the shift begins."""
        return max(self.shift_at - self.shift_days * 86_400, self.starts_at), self.shift_at

    def day(self, seconds: int) -> date:
        """The UTC day of a time in unix seconds."""
        return date(1970, 1, 1) + timedelta(seconds=seconds)


def demo_world(seed: int = 42) -> WorldConf:
    """The world of `shoal demo`: 1,500 users, 800 items, some 40,000 events, 3,000 texts and 10,000 follows in 120 days, with
    emotions, moderators, campaigns, conversations and 240 pictures."""
    return WorldConf(
        seed=seed, as_of=DEMO_AS_OF, emotion_share=0.6, quiet_spam_share=0.3, moderated_share=0.5, verdict_noise=0.01,
        campaign_share=0.03, conversation_share=0.2, pictures=240, copied_pictures=3, broken_pictures=2,
    )  # fmt: skip
