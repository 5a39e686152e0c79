"""The settings' names, types and ranges, a model a section; values and their reasons are in conf/base.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Literal, Optional

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator

from shoal.errors import ShoalError


class Section(BaseModel):
    """A group of settings; unknown keys are refused, values are checked and cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LakeConf(Section):
    """Where tables lie and how writes meet each other."""

    catalog: str | None = Field(pattern=r"^[A-Za-z0-9_]+$")
    retries: int = Field(ge=0, le=20)
    backoff_seconds: float = Field(gt=0, le=60)
    lease_seconds: float = Field(ge=1, le=86400)
    max_parallel_jobs: int = Field(ge=1, le=16)


# One ASCII character that is no letter, digit or blank.
_MARK = r"^[!-/:-@\[-`{-~]$"


class IngestConf(Section):
    """How files become rows."""

    max_reject_ratio: float = Field(ge=0, le=1)
    delimiter: str = Field(pattern=r'^(auto|[^"\r\n]{1,3})$')
    encoding: Literal["utf-8", "windows-1252"]
    header: list[str] | None
    comment: str | None = Field(pattern=r"^[!-~]$")
    quote: str | None = Field(pattern=_MARK)
    escape: str | None = Field(pattern=_MARK)
    null: str | None = Field(min_length=1)
    column_mapping: dict[str, str]
    timestamp_unit: Literal["s", "ms"]
    timestamp_format: str | None = Field(min_length=1)
    allow_missing_time: bool
    rating_min: float
    rating_max: float
    usd_exchange_rates: dict[str, PositiveFloat]
    max_record_bytes: int = Field(gt=0)
    max_record_lines: int = Field(gt=0)
    split_bytes: int = Field(gt=0)
    max_files: int = Field(gt=0)
    max_document_bytes: int = Field(gt=0)
    zip_max_bytes: int = Field(gt=0)
    zip_max_members: int = Field(gt=0)
    zip_max_ratio: float = Field(ge=1)


class StreamEventsConf(Section):
    """Where a stream of events comes from and how much of it goes at once."""

    source: Literal["files", "kafka"]
    record_type: Literal["events", "twitter_activity"]
    input: str | None
    topic: str | None = Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")
    bootstrap_servers: str | None
    group: str | None
    starting_offsets: Literal["earliest", "latest"]
    kafka: dict[str, str]
    trigger: Literal["available_now"] | Annotated[float, Field(gt=0, le=86_400)]
    max_run_seconds: float | None = Field(gt=0)
    max_offsets_per_trigger: int = Field(gt=0)
    max_files_per_trigger: int = Field(gt=0)
    checkpoint_location: str | None


class FeaturesConf(Section):
    """How feature tables are made."""

    half_life_days: float = Field(gt=0)
    full_refresh_below_rows: int = Field(ge=0)
    full_refresh_above_new_rows: int = Field(ge=0)


class SearchConf(Section):
    """A search for the settings of ALS."""

    feedback: Literal["explicit", "implicit", "auto"]
    validation_ratio: float = Field(gt=0, lt=1)
    ranks: list[int] = Field(min_length=1)
    reg_params: list[float] = Field(min_length=1)
    alphas: list[float] = Field(min_length=1)
    search_iter: int = Field(ge=1, le=200)
    max_iter: int = Field(ge=1, le=200)
    k: int = Field(ge=1, le=1000)
    seed: int


class BlendConf(Section):
    """EASE over windows, and what the experts of the blend learn from."""

    max_items: int = Field(ge=1, le=30_000)
    max_sparse_items: int = Field(ge=0, le=1_000_000)
    sparse_neighbours: int = Field(ge=1, le=1_000)
    max_history: int = Field(ge=1, le=100_000)
    window_l2: float = Field(gt=0)
    window_weight: float = Field(ge=0)
    window_lengths: list[Annotated[int, Field(ge=2)]] = Field(min_length=1)
    transition_life: float = Field(gt=0, le=1000)
    transitions: int = Field(ge=1, le=10_000)
    walk_beta: float = Field(ge=0, le=1)
    walk_neighbours: int = Field(ge=1, le=10_000)
    holdout: float = Field(gt=0, lt=1)
    candidates: int = Field(ge=1)
    learning_users: int = Field(ge=1)
    learning_events: int = Field(ge=1000)
    random_holdout_share: Literal["auto"] | Annotated[float, Field(ge=0, le=1)]
    random_holdout_prior: float = Field(ge=0, le=1)

    @property
    def known_share(self) -> float:
        """random_holdout_share; under `auto` the prior."""
        return self.random_holdout_prior if self.random_holdout_share == "auto" else self.random_holdout_share


class ContentConf(Section):
    """The terms that describe an item, and the regression from terms to factors."""

    max_terms: int = Field(ge=1, le=16_000)
    min_items: int = Field(ge=1)
    l2: PositiveFloat
    vectors: list[Literal["text", "image", "graph", "around"]]
    vector_weight: float = Field(ge=0, le=1000)


class EvaluateRecommenderConf(SearchConf):
    """`shoal evaluate recommender`: a wider search for ALS than the pipeline's, and the settings of the other models."""

    ratings: Literal["event", "relative"]
    relevant: Literal["every", "liked"]
    curve: list[Annotated[int, Field(ge=1, le=1000)]]
    ease_l2: list[Annotated[float, Field(gt=0)]] = Field(min_length=1)
    neighbours: int = Field(ge=1, le=10_000)
    shrink: float = Field(ge=0)
    walk_beta: float = Field(ge=0, le=2)
    pagerank_dampings: list[Annotated[float, Field(gt=0, lt=1)]] = Field(min_length=1)
    pagerank_beta: float = Field(ge=0, le=2)
    pagerank_follow_weight: float = Field(ge=0, le=1e6)
    user_damping: float = Field(ge=0)
    item_damping: float = Field(ge=0)
    rating_rank: int = Field(ge=1, le=1000)
    rating_reg_params: list[PositiveFloat] = Field(min_length=1)


class TrainRecommenderConf(SearchConf):
    """The pipeline's search for a recommender, and how what it finds is tested."""

    test_ratio: float = Field(gt=0, lt=1)
    max_p_value: float = Field(gt=0, lt=1)
    ratings: Literal["event", "relative"]
    experts: list[Literal["random_holdout", "next_item"]]
    event_weights: dict[Event, Annotated[float, Field(ge=0, le=1e6)]]


# The languages of Spark's lists.
StopWords = Literal[
    "none", "danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian", "norwegian", "portuguese",
    "russian", "spanish", "swedish", "turkish",
]  # fmt: skip


class TrainSentimentConf(Section):
    """The classifiers of texts: how they are tested, how texts become terms, and the settings they choose among."""

    test_ratio: float = Field(gt=0, lt=1)
    validation_ratio: float = Field(gt=0, lt=1)
    max_features: int = Field(ge=2)
    min_document_count: int = Field(ge=1)
    max_text_length: int = Field(ge=100)
    inverse_penalties: list[PositiveFloat] = Field(min_length=1)
    class_weight_powers: list[NonNegativeFloat] = Field(min_length=1)
    max_iter: int = Field(ge=1)
    word_ngrams: int = Field(ge=1, le=5)
    char_ngrams: list[Annotated[int, Field(ge=0, le=10)]] = Field(min_length=2, max_length=2)
    stemmer: Literal["none", "porter"]
    stop_words: StopWords
    lexicon_weight: float = Field(ge=0, le=1)
    precisions: list[Annotated[float, Field(gt=0, le=1)]] = Field(min_length=2, max_length=2)
    seed: int


class TrainFederatedConf(Section):
    """A classifier of texts of several sources whose rows are not pooled: whose contribution is bounded, and by how much noise."""

    task: Literal["sentiment", "emotion", "moderation"]
    source_column: str = Field(min_length=1)
    unit: Literal["author", "text"]
    epsilon: Optional[float] = Field(gt=0, le=1000)
    delta: Optional[float] = Field(gt=0, lt=0.1)
    noise_at: Literal["source", "merge"]
    labels: list[str]
    min_units: int = Field(ge=1)
    serves: bool
    rounds: int = Field(ge=1, le=1000)
    clip_norm: float = Field(gt=0, le=100)
    learning_rate: float = Field(gt=0)
    momentum: float = Field(ge=0, lt=1)
    class_weight_power: float = Field(ge=0, le=1)
    hash_bits: int = Field(ge=4, le=20)
    word_ngrams: int = Field(ge=1, le=5)
    char_ngrams: list[Annotated[int, Field(ge=0, le=10)]] = Field(min_length=2, max_length=2)
    noise_seed: Optional[int] = Field(ge=0)

    @field_validator("epsilon", mode="before")
    @classmethod
    def none_is_no_noise(cls, value: Any) -> Any:
        """`--set epsilon=none` is what people write for null."""
        return None if value == "none" else value

    @model_validator(mode="after")
    def serves_what_can(self) -> TrainFederatedConf:
        """Without thresholds moderate_items would allow everything."""
        if self.serves and self.task == "moderation":
            raise ValueError("serves with task moderation: a federated model has no thresholds to act by; expected false")
        return self


class TextsConf(Section):
    """Texts as vectors: which representation, and how it is learned."""

    representation: Literal["tfidf", "word2vec", "sif", "onnx"]
    model: str | None = Field(min_length=1)
    max_terms: int = Field(ge=10, le=50_000)
    min_texts: int = Field(ge=1)
    relearn_growth: float = Field(gt=1)
    vector_size: int = Field(ge=2, le=1000)
    window: int = Field(ge=1, le=50)
    iterations: int = Field(ge=1, le=100)
    max_learning_texts: int = Field(ge=10, le=10_000_000)
    max_text_length: int = Field(ge=1)
    seed: int


class ImagesConf(Section):
    """Pictures: what is opened, what embeds them, how their classifier is tested."""

    embedding: Literal["descriptor", "efficientnet-lite0", "onnx", "cnn"]
    model: str | None = Field(min_length=1)
    classifier: str | None = Field(min_length=1)
    pixel_mean: list[float] = Field(min_length=3, max_length=3)
    pixel_spread: list[PositiveFloat] = Field(min_length=3, max_length=3)
    fetch: bool
    fetch_hosts: list[Annotated[str, Field(pattern=r"^(\*\.)?[A-Za-z0-9.-]+(:[0-9]{1,5})?$")]]
    fetch_seconds: float = Field(gt=0, le=600)
    fetch_retries: int = Field(ge=0, le=10)
    fetch_pause_seconds: float = Field(ge=0, le=60)
    fetch_private: bool
    max_pixels: int = Field(ge=1, le=500_000_000)
    max_file_bytes: int = Field(ge=1)
    test_ratio: float = Field(gt=0, lt=1)
    seed: int


class ItemVectorsConf(Section):
    """One vector an item from its texts, its picture and the graph around it."""

    size: int = Field(ge=8, le=512, multiple_of=8)
    text_weight: float = Field(ge=0, le=100)
    image_weight: float = Field(ge=0, le=100)
    graph_weight: float = Field(ge=0, le=100)
    graph_rounds: int = Field(ge=1, le=5)
    max_history: int = Field(ge=1, le=100_000)
    seed: int


class NearDuplicatesConf(Section):
    """From when on texts and pictures are nearly the same, and what bounds the pairs."""

    text_similarity: float = Field(ge=0.5, le=1)
    picture_distance: int = Field(ge=0, le=11)
    min_contrast: float = Field(ge=0, le=0.5)
    max_bucket: int = Field(ge=2, le=100_000)
    max_copies: int = Field(ge=1, le=10_000)
    seed: int


class ConversationsConf(Section):
    """Where a conversation begins anew."""

    gap_hours: float = Field(gt=0, le=8760)


class TopicsConf(Section):
    """How many topics, of which terms, and when one is the topic of the run before."""

    topics: int = Field(ge=2, le=200)
    max_terms: int = Field(ge=10, le=100_000)
    min_texts: int = Field(ge=1)
    max_text_share: float = Field(gt=0, le=1)
    max_learning_texts: int = Field(ge=10)
    min_similarity: float = Field(gt=0, le=1)
    seed: int


class PostsConf(Section):
    """Models of posts and of accounts."""

    interval_coverage: float = Field(gt=0, lt=1)
    mature_days: int = Field(ge=0, le=3650)
    max_p_value: float = Field(gt=0, lt=1)
    explained_features: int = Field(ge=1, le=1000)
    best_hours: int = Field(ge=1, le=24)
    seed: int


class TrendsConf(Section):
    """What rises, and how sure that is."""

    window_days: int = Field(ge=3, le=3650)
    recent_days: int = Field(ge=1, le=3650)
    min_users: int = Field(ge=1)
    false_discovery_rate: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _has_days_before(self) -> TrendsConf:
        if self.recent_days > self.window_days - 2:
            raise ValueError(f"recent_days {self.recent_days} of window_days {self.window_days}: at least two days must be before")
        return self


class AnomaliesConf(Section):
    """How much is raised."""

    alarm_share: float = Field(gt=0, le=0.5)
    least_alarms: int = Field(ge=1, le=1000)
    contamination: float = Field(gt=0, le=0.5)
    seed: int


Event = Literal["view", "click", "like", "comment", "share", "save", "purchase", "rating"]


class GraphConf(Section):
    """What the graph algorithms mean and which engine runs them."""

    engine: Literal["auto", "spark", "local", "graphframes"]
    local_max_edges: int = Field(ge=0)
    damping: float = Field(gt=0, lt=1)
    tolerance: float = Field(gt=0)
    max_rounds: int = Field(ge=1)
    label_propagation_max_iter: int = Field(ge=1)
    seed: int
    event_weights: dict[Event, Annotated[float, Field(ge=0, le=1e6)]]
    top_members: int = Field(ge=1, le=100)
    community_method: Literal["leiden", "label_propagation"]
    community_relations: list[Literal["follows", "hashtags", "co_engagement", "mentions", "replies"]] = Field(min_length=1)
    edges_per_node: int = Field(ge=1, le=10_000)
    measures: list[Literal["coreness", "hits", "clustering", "components", "centrality"]]
    seeds: list[str] = Field(max_length=10_000)
    pivots: int = Field(ge=1)
    broadcast_max_edges: int = Field(ge=0)


class RecommendConf(Section):
    """What each user is shown."""

    k: int = Field(ge=1, le=1000)
    user_batch_size: int = Field(ge=1)
    cold_start_slots: int = Field(ge=0)
    item_filter: Optional[str]
    max_age_days: Optional[PositiveInt]
    max_per_owner: Optional[PositiveInt]
    max_per_category: Optional[PositiveInt]
    max_item_share: Optional[float] = Field(gt=0, le=1)
    diversity: float = Field(ge=0, le=1)
    novelty: float = Field(ge=0, le=1)
    users: Optional[str]
    users_per_item: int = Field(ge=1, le=1000)
    candidate_multiplier: int = Field(ge=1, le=50)
    explore: int = Field(ge=0, le=1000)
    explore_policy: Literal["epsilon_greedy", "ucb1", "thompson"]
    explore_context: str
    seed: int


class SimilarConf(Section):
    """Which items are met by the same users or are alike, and which users meet the same items."""

    kind: Literal["cosine", "jaccard", "lift", "bm25"]
    shrink: float = Field(ge=0)
    neighbours: int = Field(ge=1, le=10_000)
    max_history: int = Field(ge=1, le=100_000)
    max_catalogue: int = Field(ge=1, le=1_000_000)
    max_term_share: float = Field(gt=0, le=1)
    vectors: list[Literal["text", "word2vec", "image", "price", "multimodal"]]
    exact_items: int = Field(ge=0, le=1_000_000)
    probes: int = Field(ge=1, le=1000)
    max_list: int = Field(ge=10, le=10_000)
    word_size: int = Field(ge=2, le=1000)
    word_window: int = Field(ge=1, le=100)
    word_iterations: int = Field(ge=1, le=100)
    word_items: int = Field(ge=1, le=10_000_000)
    seed: int


class ModerationConf(Section):
    """Which labels of a moderation model mean that nothing is wrong."""

    allowed_labels: list[str] = Field(min_length=1)


class BanditsConf(Section):
    """What the arms of a bandit are, and how three policies choose among them."""

    contexts: list[Literal["campaign", "policy", "position"]]
    epsilon: float = Field(ge=0, le=1)
    exploration: float = Field(ge=0, le=100)
    prior_successes: float = Field(gt=0, le=1e6)
    prior_failures: float = Field(gt=0, le=1e6)
    max_arms: int = Field(ge=1, le=100_000)


class EvaluatePoliciesConf(Section):
    """`shoal evaluate policies`: how a log is divided, and how what a policy would have earned is estimated."""

    train_fraction: float = Field(ge=0, lt=1)
    max_weight: float | None = Field(gt=0)
    folds: int = Field(ge=2, le=100)
    reward_shrink: float = Field(ge=0, le=1e9)
    buckets: int = Field(ge=2, le=10_000)
    bootstrap_samples: int = Field(ge=100, le=10_000)
    seed: int


class ExperimentsConf(Section):
    """Where experiments are defined, and how their results are worked out."""

    file: str
    level: float = Field(gt=0.5, lt=1)
    power: float = Field(gt=0.5, lt=1)


class TrendingConf(Section):
    """What counts as of late, by kind of item."""

    half_life_hours: dict[str, Annotated[float, Field(gt=0, le=100_000)]]
    default_half_life_hours: float = Field(gt=0, le=100_000)
    items: int = Field(ge=1, le=10_000)


class InterestsConf(Section):
    """How quickly interests fade, and how many are kept."""

    long_half_life_days: float = Field(gt=0, le=100_000)
    short_half_life_days: float = Field(gt=0, le=100_000)
    item_topics: int = Field(ge=1, le=1000)
    topics: int = Field(ge=1, le=1000)


class FollowsConf(Section):
    """Whom to follow."""

    k: int = Field(ge=1, le=1000)
    max_contacts: int = Field(ge=2, le=100_000)
    walk_steps: int = Field(ge=1, le=10)
    walk_restart: float = Field(gt=0, lt=1)
    beam_width: int = Field(ge=1, le=100_000)


class DriftConf(Section):
    """Which windows are compared and from where on a difference counts."""

    window_days: int = Field(ge=1)
    baseline: date | None
    psi_bins: int = Field(ge=2, le=1000)
    psi_warning: float = Field(gt=0)
    psi_critical: float = Field(gt=0)
    share_warning: float = Field(gt=0, le=1)
    share_critical: float = Field(gt=0, le=1)
    p_value: float = Field(gt=0, lt=1)
    loss_false_discovery_rate: float = Field(gt=0, lt=1)
    loss_warning: float = Field(gt=0)
    loss_critical: float = Field(gt=0)
    max_categories: int = Field(ge=1, le=10_000)
    exact_values: int = Field(ge=1_000, le=20_000_000)


class QualityConf(Section):
    """From where on a figure of a table warns or fails."""

    fresh_tables: list[str]
    unscheduled_tables: list[str]
    freshness_warning_hours: float = Field(gt=0)
    freshness_critical_hours: float = Field(gt=0)
    shrink_warning: float = Field(gt=0, le=1)
    shrink_critical: float = Field(gt=0, le=1)
    missing_warning: float = Field(gt=0, le=1)
    missing_critical: float = Field(gt=0, le=1)
    quarantine_warning: float = Field(gt=0, le=1)
    quarantine_critical: float = Field(gt=0, le=1)
    history_days: int = Field(ge=7, le=730)
    min_runs: int = Field(ge=7, le=365)
    anomaly_warning: float = Field(gt=0)
    anomaly_critical: float = Field(gt=0)


class AlertRule(Section):
    """One rule: docs/monitoring.md has the metrics and the series of each."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    metric: Literal[
        "drift_severity", "data_quality_status", "freshness_hours", "run_failed", "run_seconds", "job_metric", "model_metric_drop"
    ]
    of: str | None = None
    series: str = Field(default="*", min_length=1)
    window_days: int = Field(default=7, ge=1, le=730)
    above: float | None = None
    below: float | None = None
    for_hours: float = Field(default=0, ge=0)
    severity: Literal["info", "warning", "critical"]

    @model_validator(mode="after")
    def one_condition(self) -> AlertRule:
        """A rule has one limit, and names a figure where its metric has several."""
        if (self.above is None) == (self.below is None):
            raise ValueError(f"rule {self.name}: one of above and below is needed")
        if (self.of is not None) != (self.metric in ("job_metric", "model_metric_drop")):
            raise ValueError(f"rule {self.name}: `of` belongs to job_metric and model_metric_drop, which need it")
        return self


class AlertsConf(Section):
    """What is worth a message, and how it is sent."""

    rules: list[AlertRule] = Field(max_length=200)
    webhook_timeout_seconds: float = Field(gt=0, le=60)
    webhook_attempts: int = Field(ge=1, le=10)

    @model_validator(mode="after")
    def names_differ(self) -> AlertsConf:
        """The state of an alert goes by its rule's name."""
        names = [rule.name for rule in self.rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"rule {twice[0]} is there twice")
        return self


class RetrainConf(Section):
    """When a champion is trained again, and when the new model takes its place."""

    max_age_days: int = Field(ge=1, le=3650)
    new_rows_share: float = Field(gt=0)
    drift_windows: int = Field(ge=1, le=365)
    drift_hits: int = Field(ge=1, le=365)
    drift_severity: Literal["warning", "critical"]
    loss_rise: float = Field(gt=0)
    evaluation_days: int = Field(ge=1, le=365)
    max_p_value: float = Field(gt=0, lt=1)
    max_loss: float = Field(ge=0, lt=1)
    retry_days: int = Field(ge=0, le=365)

    @model_validator(mode="after")
    def hits_fit(self) -> RetrainConf:
        """More hits than comparisons are never reached."""
        if self.drift_hits > self.drift_windows:
            raise ValueError(f"drift_hits {self.drift_hits}: expected at most drift_windows ({self.drift_windows})")
        return self


class ReportConf(Section):
    """What the report shows and where it goes."""

    folder: str | None
    communities: int = Field(ge=1, le=50)
    nodes: int = Field(ge=10, le=2000)
    sample_users: int = Field(ge=0, le=20)


class PublishConf(Section):
    """Where tables are published for programs that answer requests, and how many versions stay."""

    target: Literal["lmdb", "redis", "postgres", "search"]
    folder: str | None
    redis_url: str | None = Field(pattern=r"^(redis|rediss|unix)://")
    postgres_url: str | None = Field(pattern=r"^(postgres|postgresql)://")
    search_url: str | None = Field(pattern=r"^https?://")
    keep_versions: int = Field(ge=0, le=100)
    grace_seconds: float = Field(ge=0, le=3600)


class OptimizeConf(Section):
    """How tables are kept."""

    vacuum_hours: int = Field(ge=1, le=100_000)
    tables: list[str]


class PrivacyConf(Section):
    """How people are kept out of sight, and how they are taken out."""

    pseudonymise: bool
    free_text: Literal["mask", "withhold"]
    min_mention_length: int = Field(ge=1, le=100)
    max_people: int = Field(ge=1, le=1_000_000)


class Settings(Section):
    """All settings of a run. A section with a `seed` has that of the whole."""

    seed: int
    lake: LakeConf
    ingest: IngestConf
    stream_events: StreamEventsConf
    features: FeaturesConf
    train_recommender: TrainRecommenderConf
    blend: BlendConf
    content: ContentConf
    evaluate_recommender: EvaluateRecommenderConf
    train_sentiment: TrainSentimentConf
    train_federated: TrainFederatedConf
    texts: TextsConf
    images: ImagesConf
    item_vectors: ItemVectorsConf
    near_duplicates: NearDuplicatesConf
    conversations: ConversationsConf
    topics: TopicsConf
    posts: PostsConf
    trends: TrendsConf
    anomalies: AnomaliesConf
    moderation: ModerationConf
    graph: GraphConf
    recommend: RecommendConf
    similar: SimilarConf
    bandits: BanditsConf
    evaluate_policies: EvaluatePoliciesConf
    experiments: ExperimentsConf
    trending: TrendingConf
    interests: InterestsConf
    follows: FollowsConf
    drift: DriftConf
    quality: QualityConf
    alerts: AlertsConf
    retrain: RetrainConf
    report: ReportConf
    publish: PublishConf
    optimize: OptimizeConf
    privacy: PrivacyConf
    spark: dict[str, str]
    pipeline: dict[str, list[str]]

    def section(self, model: type[Section]) -> Any:
        """The section that `model` describes."""
        for name, field in Settings.model_fields.items():
            if field.annotation is model:
                return getattr(self, name)
        raise KeyError(model.__name__)

    def only(self, sections: Iterable[str]) -> DeclaredSettings:
        """These sections and those that every job may read; reading another one raises ShoalError."""
        kept = {*sections, *FOR_EVERY_JOB}
        return DeclaredSettings.model_construct(kept, **{name: getattr(self, name) for name in sorted(kept)})


# Where tables lie and how they are committed, whether ids are pseudonyms, the session.
FOR_EVERY_JOB = ("lake", "privacy", "spark")


class DeclaredSettings(Settings):
    """The sections of the settings that a job declares."""

    def __getattr__(self, name: str) -> Any:
        """Reached only for what is not there."""
        if name in Settings.model_fields:
            raise ShoalError(f"the job reads the settings section {name}, which it does not declare; add it to the job's SETTINGS")
        raise AttributeError(name)
