"""What requests hold and answers look like, for validation and for the OpenAPI description."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Optional

from pydantic import BaseModel, ConfigDict, Field

MAX_K, MAX_TEXTS, MAX_MOMENTS, MAX_EVENTS, MAX_USERS, MAX_POSTS = 1000, 100, 20_000, 1000, 1000, 500
Id = Annotated[str, Field(min_length=1, max_length=1000)]
Text = Annotated[str, Field(max_length=100_000)]
Count = Annotated[int, Field(ge=0, le=10**15)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e15, le=1e15)]


class Body(BaseModel):
    """The body of a request: unknown fields are refused, because they are misspelt ones."""

    model_config = ConfigDict(extra="forbid")


class Texts(Body):
    """Texts to score."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"texts": ["I love it", "never again"]}]})
    texts: list[Text] = Field(min_length=1, max_length=MAX_TEXTS)


class Users(Body):
    """Users to look up."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"user_ids": ["u0000", "u0001"]}]})
    user_ids: list[Id] = Field(min_length=1, max_length=MAX_USERS)


class Post(Body):
    """A post. likes and comments: of an earlier post of the author, which later ones are predicted from; absent where it has just
    appeared. created_at defaults to now; posts without author_id are of one author. What is absent is not known."""

    author_id: Annotated[str, Field(max_length=1000)] = ""
    created_at: Optional[datetime] = None
    text: Text = ""
    likes: Optional[Count] = None
    comments: Optional[Count] = None
    is_video: Optional[bool] = None
    has_location: Optional[bool] = None
    is_verified: Optional[bool] = None
    followers: Optional[Count] = None
    following: Optional[Count] = None
    author_created_at: Optional[datetime] = None


class Posts(Body):
    """Posts whose likes and comments are to be predicted, with earlier ones of their authors."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "posts": [
                        {"author_id": "u0000", "created_at": "2024-03-01T10:00:00Z", "text": "rain again", "likes": 12},
                        {"author_id": "u0000", "created_at": "2024-03-02T18:00:00Z", "text": "a walk by the sea"},
                    ]
                }
            ]
        },
    )
    posts: list[Post] = Field(min_length=1, max_length=MAX_POSTS)


class Moment(Body):
    """A moment of a series; value null where nothing was measured."""

    measured_at: datetime = Field(description="ISO 8601, or seconds since 1970 (above 2e10: milliseconds)")
    value: Optional[Number] = None


class Series(Body):
    """A series to look for anomalies in."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"series": [{"measured_at": "2024-03-01T10:00:00Z", "value": 12}]}]}
    )
    series: list[Moment] = Field(min_length=1, max_length=MAX_MOMENTS)


class Event(Body):
    """What a user did with an item. event_id makes a repeated request one event; occurred_at defaults to now."""

    user_id: Id
    item_id: Id
    event: Literal["view", "click", "like", "comment", "share", "save", "purchase", "rating"]
    value: Optional[Number] = None
    event_id: Optional[Id] = None
    occurred_at: Optional[datetime] = None


class Events(Body):
    """Events, each once."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"events": [{"user_id": "u0000", "item_id": "i001", "event": "like", "event_id": "e1"}]}]},
    )
    events: list[Event] = Field(min_length=1, max_length=MAX_EVENTS)


class Fault(BaseModel):
    """The status again, and one sentence."""

    status: int
    message: str


class ErrorBody(BaseModel):
    """Every answer that is no success."""

    error: Fault


class Listed(BaseModel):
    """An item of a list. Titles, categories and the sentence of the reason come with `details=true`."""

    item_id: str
    rank: Optional[int] = None
    score: Optional[float] = None
    reason_code: Optional[str] = None
    because_item_id: Optional[str] = None
    source: Optional[str] = None
    title: Optional[str] = None
    reason: Optional[str] = None


class Answer(BaseModel):
    """What every answer from the published version carries. `stale`: the store is away, and this is what was read before."""

    version: str
    stale: bool


class Recommendations(Answer):
    """source: list (the user's own), session (re-ranked by new events), popularity (no list is known)."""

    user_id: str
    source: Literal["list", "session", "popularity"]
    as_of: Optional[str]
    items: list[Listed]


class Similar(Answer):
    """Items near to one."""

    item_id: str
    as_of: Optional[str]
    items: list[Listed]


class Trending(Answer):
    """Items that rise."""

    as_of: Optional[str]
    items: list[Listed]


class Person(Answer):
    """What is published of a user; null for what is not."""

    user_id: str
    as_of: Optional[str]
    segment: Optional[dict[str, Any]]
    community: Optional[dict[str, Any]]
    influence: Optional[dict[str, Any]]
    interests: Optional[list[dict[str, Any]]]
    follows: Optional[list[dict[str, Any]]]


class Found(Answer):
    """Items that match; `matches`: how many in all."""

    matches: int
    items: list[Listed]


class Scores(BaseModel):
    """One result for each text or post, in order."""

    model_version: str
    results: list[dict[str, Any]]


class Sentiments(Scores):
    """One result for each text, in order. `emotion_model_version`: null where no emotion model is published;
    `emotion_unavailable`: why the published one cannot score here, absent where it can."""

    emotion_model_version: Optional[str]
    emotion_unavailable: Optional[str] = None


class Segments(Answer):
    """The segment of each user, null for an unknown one."""

    results: list[dict[str, Any]]


class Anomalies(BaseModel):
    """One result for each moment, in order."""

    results: list[dict[str, Any]]


class Accepted(BaseModel):
    """How many events the stream will read."""

    accepted: int


class Health(BaseModel):
    """The server lives."""

    status: str


class Ready(BaseModel):
    """A version is open."""

    status: str
    version: str
    stale: bool
