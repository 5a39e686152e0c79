"""The sentences of reasons, by reason_code. No Spark: servers render them too."""

from __future__ import annotations

# Sentences by reason_code; {item} stands for what the item is called. `because_<event>` needs the item, the others none.
SENTENCES = {
    "because_view": "Because you viewed {item}.", "because_click": "Because you clicked {item}.",
    "because_like": "Because you liked {item}.", "because_comment": "Because you commented on {item}.",
    "because_share": "Because you shared {item}.", "because_save": "Because you saved {item}.",
    "because_purchase": "Because you bought {item}.", "because_rating": "Because you rated {item}.",
    "because_event": "Because you met {item}.",
    "because_next": "Often next after {item}.", "because_content": "About the same as {item}.",
    "similar_users": "Liked by people like you.", "popular_with_followed": "Popular with people you follow.",
    "popular_in_community": "Popular in your community.", "popular_in_profile": "Popular with people like you.",
    "popular_in_group": "Popular with people of your country, language or age.",
    "popular": "Popular with everybody lately.", "new_item": "New, and close to what you like.",
    "exploration": "Something different to try.",
}  # fmt: skip


def rendered(code: str, name: str | None) -> str | None:
    """The sentence of a code; "something" where the item has no name any more; None for an unknown code."""
    text = SENTENCES.get(code)
    return None if text is None else text.replace("{item}", name or "something")
