"""Texts, links and JSON without the people in them: names become pseudonyms, contact details are removed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from shoal.conf.pseudonym_key import WITHHELD
from shoal.privacy.pseudonyms import FORM, pseudonym

# A text to one with pseudonyms for the names that it holds.
NamesOf = Callable[[str], str]
PEOPLE_NAMES = ("user_id", "owner_id", "author_id", "src_id", "dst_id", "other_id", "username", "sender_name")
# What of a user's object stays, besides its names and ids under pseudonyms.
PERSON_IDS = ("id", "id_str", "username", "screen_name")
PERSON_COUNTS = ("created_at", "followers_count", "friends_count", "following_count", "public_metrics")
# Counts, and dates as ISO 8601 or Twitter's own.
_PLAIN = re.compile(r"[\d,.]+[kmb]?|[\dTZ:+. -]+|[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d? [\d:]+ [+-]\d{4} \d{4}")
_STATUS = re.compile(r"/status(?:es)?/(\d+)")
_MENTION = re.compile(r"(?<!\w)@(\w(?:[\w.-]*\w)?)")
# A page of a person, or of a post below it; Instagram's own pages belong to no person.
_PAGE = re.compile(
    r"(?i)\b((?:instagram|twitter|x|facebook)\.com/(?:_u/|stories/)?)"
    r"(?!(?:p|reels?|tv|explore|i|_u|stories|direct|accounts|hashtag)(?![\w.]))([\w.]*\w)"
)
_MAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
# Seven digits and more, as people write numbers; a year or a price has fewer.
_PHONE = re.compile(r"(?<![\w.])\+?\d(?:[\s()/.-]{0,2}\d){6,}(?!\w)")


def mask(key: bytes, text: str, named: NamesOf | None = None) -> str:
    """Words with @names, names in links to people's pages, and the names `named` finds as pseudonyms, mail addresses and telephone
    numbers taken out; other names without an @ stay."""
    found = _MAIL.sub("(mail)", text)
    found = named(found) if named else found
    found = _MENTION.sub(lambda m: m[0] if re.match(FORM, m[1]) else "@" + pseudonym(key, m[1]), found)
    found = _PAGE.sub(lambda m: m[0] if re.match(FORM, m[2]) else m[1] + pseudonym(key, m[2]), found)
    return _PHONE.sub("(phone)", found)


def names_replaced(key: bytes, ids: Mapping[str, str], min_length: int) -> NamesOf:
    """Return a function that replaces whole names in a text by pseudonyms. `ids`: the names, each with the id it stands for.

    Names shorter than `min_length` are found as they are written, others in any case; one without two characters and a letter, as
    "4", is found nowhere. The longest name counts where one holds another.
    """
    wanted = {name.strip(): of for name, of in ids.items() if len(name.strip()) > 1 and re.search(r"[^\W\d_]", name)}
    if not wanted:
        return lambda text: text
    folded = {name.casefold(): of for name, of in wanted.items()}
    parts = [f"(?i:{re.escape(n)})" if len(n) >= min_length else re.escape(n) for n in sorted(wanted, key=lambda n: (-len(n), n))]
    form = re.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)")
    return lambda text: form.sub(lambda m: pseudonym(key, wanted.get(m[0]) or folded.get(m[0].casefold(), m[0])), text)


def is_json(value: str) -> bool:
    """Whether a text is a JSON object or array."""
    try:
        return isinstance(json.loads(value), (dict, list))
    except (ValueError, RecursionError):
        return False


def masked_person(node: Any, key: bytes) -> Any:
    """A user's object, or a list of them, with pseudonyms and without whatever else it says."""
    if isinstance(node, list):
        return [masked_person(each, key) for each in node]
    if not isinstance(node, dict):
        return pseudonym(key, str(node))
    ids = {name: None if node[name] is None else pseudonym(key, str(node[name])) for name in PERSON_IDS if name in node}
    return ids | {name: _counts(node[name]) for name in PERSON_COUNTS if name in node}


def _counts(value: Any) -> Any:
    """A count, a date, or an object of counts, without other words: what a hostile object puts there does not get through."""
    if isinstance(value, dict):
        return {name: _counts(each) for name, each in value.items() if name in PERSON_COUNTS and not isinstance(each, dict)}
    return value if isinstance(value, (int, float)) or (isinstance(value, str) and _PLAIN.fullmatch(value)) else None


def post_of_link(value: str) -> str:
    """A link to a post without its author; any other link is withheld."""
    found = _STATUS.search(value)
    return f"https://twitter.com/i/status/{found[1]}" if found else WITHHELD


def ids_in_json(text: str, hide: Callable[[str], str]) -> Any:
    """A JSON list of ids with their pseudonyms, also where a number or an object stands for an id; empty ones stay empty. What is
    no JSON is one id."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return hide(text)

    def walked(node: Any) -> Any:
        if isinstance(node, list):
            return [walked(each) for each in node]
        text = node if isinstance(node, str) else json.dumps(node, ensure_ascii=False)
        return node if node is None or not text.strip() else hide(text)

    return walked(value)


def each_id(value: str) -> list[str]:
    """The ids in the text of an id or of a JSON list of them."""
    try:
        found = json.loads(value) if value.lstrip().startswith("[") else value
    except (ValueError, RecursionError):
        found = value
    return [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, str)]


def masked_json(text: str, change: Callable[[str], str], of_person: Callable[[str], str]) -> Any:
    """A JSON text's value with its strings changed; those under a name that ends in user_id, owner_id and the like by
    `of_person`. What is no JSON is one string."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return change(text)

    def walked(node: Any, name: str = "") -> Any:
        if isinstance(node, dict):
            return {k: walked(v, k) for k, v in node.items()}
        if isinstance(node, list):
            return [walked(v, name) for v in node]
        if isinstance(node, str):
            return of_person(node) if name in PEOPLE_NAMES else change(node)
        return node

    return walked(value)
