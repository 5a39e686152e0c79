"""The words that simulated people use, by topic and by sentiment."""

from __future__ import annotations

from typing import NamedTuple


class Topic(NamedTuple):
    """What a topic is talked about in: every tuple of one kind is equally long in all topics."""

    name: str
    nouns: tuple[str, ...]
    actions: tuple[str, ...]
    hashtags: tuple[str, ...]


TOPICS = (
    Topic(
        "travel",
        ("beach", "mountain trail", "old town", "night train", "harbour", "hostel", "island", "market square"),
        ("walked along", "flew over", "got lost in", "came back from"),
        ("travel", "wanderlust", "roadtrip", "citybreak", "backpacking", "seaside"),
    ),
    Topic(
        "food",
        ("ramen", "sourdough", "street tacos", "curry", "brunch place", "espresso", "cheesecake", "dumplings"),
        ("cooked", "tasted", "shared", "ordered"),
        ("food", "homemade", "foodie", "brunch", "vegan", "baking"),
    ),
    Topic(
        "fitness",
        (
            "morning run",
            "deadlift",
            "yoga class",
            "half marathon",
            "spin session",
            "rowing machine",
            "warm-up",
            "trainer",
        ),
        ("finished", "started", "survived", "repeated"),
        ("fitness", "running", "gymlife", "yoga", "strength", "recovery"),
    ),
    Topic(
        "music",
        ("album", "live set", "guitar solo", "vinyl", "chorus", "festival", "playlist", "drummer"),
        ("listened to", "recorded", "danced to", "queued for"),
        ("music", "livemusic", "vinyl", "indie", "newrelease", "playlist"),
    ),
    Topic(
        "film",
        ("thriller", "documentary", "final scene", "director's cut", "soundtrack", "trailer", "matinee", "sequel"),
        ("watched", "reviewed", "slept through", "recommended"),
        ("film", "cinema", "movienight", "director", "scifi", "classic"),
    ),
    Topic(
        "gaming",
        ("boss fight", "co-op mode", "patch", "speedrun", "console", "open world", "loot drop", "controller"),
        ("played", "streamed", "beat", "modded"),
        ("gaming", "esports", "indiegame", "speedrun", "retro", "coop"),
    ),
    Topic(
        "technology",
        ("laptop", "compiler", "phone camera", "battery", "keyboard", "firmware update", "tablet", "headphones"),
        ("unboxed", "benchmarked", "repaired", "configured"),
        ("tech", "gadgets", "opensource", "coding", "hardware", "review"),
    ),
    Topic(
        "fashion",
        ("linen jacket", "sneakers", "raincoat", "vintage dress", "wool scarf", "denim", "silk shirt", "boots"),
        ("wore", "mended", "styled", "thrifted"),
        ("fashion", "ootd", "vintage", "streetstyle", "thrift", "denim"),
    ),
    Topic(
        "garden",
        ("tomato plants", "compost", "rose bush", "greenhouse", "herb bed", "apple tree", "seedlings", "lawn"),
        ("planted", "watered", "pruned", "harvested"),
        ("garden", "growyourown", "plants", "flowers", "compost", "balcony"),
    ),
    Topic(
        "pets",
        ("puppy", "rescue cat", "parrot", "leash", "vet visit", "hamster", "aquarium", "dog park"),
        ("adopted", "walked", "groomed", "fed"),
        ("pets", "dogs", "catsofshoal", "adoptdontshop", "puppy", "vet"),
    ),
    Topic(
        "books",
        ("novel", "short stories", "last chapter", "translation", "paperback", "biography", "poems", "bookshop"),
        ("read", "annotated", "borrowed", "gave away"),
        ("books", "reading", "bookclub", "poetry", "fantasy", "library"),
    ),
    Topic(
        "football",
        ("penalty", "derby", "goalkeeper", "away game", "transfer", "midfield", "stadium", "season"),
        ("watched", "discussed", "replayed", "celebrated"),
        ("football", "matchday", "derby", "goal", "transfers", "supporters"),
    ),
)

SENTIMENTS = ("positive", "negative", "neutral")
ADJECTIVES = {
    "positive": (
        "wonderful", "brilliant", "lovely", "excellent", "delightful", "fantastic", "superb", "amazing", "charming", "perfect",
        "beautiful", "fun", "impressive", "great", "refreshing", "reliable", "generous", "inspiring",
    ),
    "negative": (
        "awful", "terrible", "boring", "disappointing", "horrible", "overpriced", "broken", "annoying", "useless", "dreadful",
        "ugly", "sloppy", "rude", "bad", "tedious", "unreliable", "messy", "painful",
    ),
    "neutral": (
        "usual", "average", "ordinary", "standard", "typical", "quiet", "small", "new", "local", "familiar",
        "regular", "common", "plain", "recent", "medium", "simple", "daily", "short",
    ),
}  # fmt: skip
CLOSINGS = {
    "positive": (
        "Loved every minute.", "Would do it again.", "Highly recommended!", "Made my day.", "So happy with it.",
        "Thank you all 😊", "Five stars from me.", "Worth every cent.",
    ),
    "negative": (
        "Never again.", "What a waste of money.", "I want my time back.", "Avoid it.", "So let down.",
        "Very sad about this 😞", "One star from me.", "It ruined the evening.",
    ),
    "neutral": (
        "That was Tuesday.", "More tomorrow.", "Details in the profile.", "It is what it is.", "See the second photo.",
        "Same time next week.", "Ask me anything.", "It took two hours.",
    ),
}  # fmt: skip
# What people feel besides; `neutral` says nothing of it.
EMOTIONS = ("joy", "anger", "sadness", "fear", "surprise", "neutral")
FEELINGS = {
    "joy": ("joyful", "cheerful", "delighted", "overjoyed", "merry", "elated", "giddy", "blissful", "radiant", "gleeful"),
    "anger": ("angry", "furious", "outraged", "livid", "irritated", "fuming", "cross", "bitter", "enraged", "resentful"),
    "sadness": ("sad", "heartbroken", "lonely", "gloomy", "tearful", "miserable", "homesick", "grieving", "downcast", "forlorn"),
    "fear": ("afraid", "scared", "anxious", "terrified", "nervous", "worried", "uneasy", "panicked", "frightened", "alarmed"),
    "surprise": (
        "surprised", "astonished", "stunned", "speechless", "amazed", "startled", "dumbfounded", "baffled", "astounded",
        "thunderstruck",
    ),
}  # fmt: skip
REACTIONS = {
    "joy": ("I could not stop smiling.", "We laughed all the way home.", "My heart sings 😄", "I danced in the kitchen."),
    "anger": ("I slammed the door.", "My blood is boiling 😡", "How dare they.", "I shouted at the screen."),
    "sadness": ("I cried on the bus.", "Tears all evening 😢", "I miss the old days.", "My heart sank."),
    "fear": ("My hands were shaking.", "I did not dare to look 😨", "I hid under the blanket.", "It gave me nightmares."),
    "surprise": ("I did not see that coming.", "My jaw dropped 😲", "Who would have thought.", "I had to look twice."),
}
# Which emotions go with a sentiment, each as often.
EMOTIONS_BY_SENTIMENT = {
    "positive": ("joy", "joy", "surprise"),
    "negative": ("anger", "sadness", "fear"),
    "neutral": ("surprise", "surprise", "fear"),
}
# What moderators say of a text.
VERDICTS = ("allowed", "removed")
OPENINGS = (
    "Just", "Today I", "Finally I", "Yesterday we", "This week I", "With friends we", "After work I", "Once more I",
    "Last night we", "On Sunday I",
)  # fmt: skip
INTENSITIES = ("really", "quite", "so", "truly", "rather", "very")
# A negated adjective of the opposite sentiment: what a bag of words gets wrong.
NEGATION = "not at all"

SPAM_OPENINGS = (
    "CONGRATULATIONS!!!", "LAST CHANCE", "WOW 😱", "Hello dear,", "ATTENTION:", "FREE FREE FREE", "Guaranteed!", "💰💰💰",
)  # fmt: skip
SPAM_OFFERS = (
    "you have won a free phone", "earn $5000 a week from home", "get 10000 followers today", "double your coins in 24 hours",
    "cheap watches 90% off", "this one trick doctors hate", "exclusive loan with no questions", "claim your gift card now",
)  # fmt: skip
SPAM_CALLS = (
    "click the link in bio", "DM me NOW", "text WIN to 80800", "visit free-prizes.example", "reply with your number",
    "limited offer, act fast", "sign up at easy-cash.example", "follow and share to claim",
)  # fmt: skip
# The last word of a campaign's text, which every account chooses for itself.
SPAM_FAREWELLS = (
    "friend", "today", "tonight", "everybody", "please", "now", "dear", "quickly", "thanks", "neighbour", "hurry", "cheers",
)  # fmt: skip
SPAM_HASHTAGS = ("free", "win", "followback", "cash", "giveaway", "promo")

LOCATIONS = (
    "Lisbon", "Osaka", "Accra", "Montréal", "Bogotá", "Leipzig", "Austin", "Pune", "Cairo", "Tallinn", "Adelaide", "İzmir",
)  # fmt: skip
