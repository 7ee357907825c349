"""Names of drawings to captions: what the pre-training recipe of the icon-world releases tells a text tower.

Alt texts on the web vary in wording and in detail; so do these: a random template, a random synonym, sometimes only the
head noun. Words for style ("outline", "filled") are left out, so that a caption says what is drawn, not how.
"""

from __future__ import annotations

import random

TEMPLATES = (
    "{}",
    "a {}",
    "{} icon",
    "an icon of a {}",
    "an icon of a {}",
    "an icon of {}",
    "a drawing of a {}",
    "a simple drawing of a {}",
    "a picture of a {}",
    "a small icon of the {}",
    "a symbol for {}",
    "the {} symbol",
)

STYLE_WORDS = frozenset(
    "outline outlined filled fill sharp round rounded thin light regular solid variant alt simple duotone line o "
    "box multiple medium large small half".split()
)

MODIFIERS = frozenset(
    "plus minus off check remove cancel alert lock search edit sync clock star heart cog settings add slash question "
    "dollar code pin pause up down left right arrow share exclamation warning lightning bolt".split()
)
"""Words that, at the end of a name, say what is drawn beside the thing."""

SYNONYMS: dict[str, tuple[str, ...]] = {
    "account": ("user", "person", "account"),
    "user": ("user", "person"),
    "person": ("person", "user"),
    "cog": ("gear", "settings", "cog"),
    "gear": ("gear", "settings"),
    "settings": ("settings", "gear"),
    "earth": ("globe", "world", "earth"),
    "globe": ("globe", "world"),
    "email": ("mail", "email", "envelope"),
    "envelope": ("envelope", "mail"),
    "mail": ("mail", "envelope"),
    "image": ("photo", "picture", "image"),
    "photo": ("photo", "picture"),
    "magnify": ("search", "magnifying glass"),
    "search": ("search", "magnifying glass"),
    "delete": ("trash can", "bin", "delete"),
    "trash": ("trash can", "bin"),
    "chat": ("message", "chat", "speech bubble"),
    "comment": ("message", "comment", "speech bubble"),
    "message": ("message", "speech bubble"),
    "water": ("drop", "water"),
    "droplet": ("drop", "droplet"),
    "drop": ("drop", "water drop"),
    "cellphone": ("smartphone", "mobile phone"),
    "mobile": ("smartphone", "mobile phone"),
    "phone": ("phone", "telephone"),
    "call": ("phone", "call"),
    "monitor": ("monitor", "desktop computer", "screen"),
    "desktop": ("monitor", "desktop computer"),
    "cart": ("shopping cart", "cart"),
    "emoticon": ("face", "smiley face"),
    "emoji": ("face", "smiley face"),
    "smiley": ("face", "smiley face"),
    "bell": ("bell", "notification bell"),
    "notification": ("notification", "bell"),
    "alarm": ("alarm clock", "alarm"),
    "home": ("home", "house"),
    "house": ("house", "home"),
    "office": ("office building", "building"),
    "building": ("building", "office"),
    "city": ("city", "buildings"),
    "document": ("file", "document"),
    "file": ("file", "document"),
    "tune": ("sliders", "adjustments"),
    "sliders": ("sliders", "adjustments"),
    "options": ("sliders", "options"),
    "cursor": ("pointer", "cursor"),
    "funnel": ("funnel", "filter"),
    "filter": ("filter", "funnel"),
    "package": ("package", "box"),
    "cube": ("cube", "box"),
    "alpha": ("letter",),
    "numeric": ("number",),
    "currency": ("currency", "money"),
    "pencil": ("pencil", "pen"),
    "pen": ("pen", "pencil"),
    "edit": ("edit", "pencil"),
    "schedule": ("clock", "schedule"),
    "music": ("music", "music note"),
    "chip": ("chip", "circuit"),
    "store": ("shop", "store"),
    "bulb": ("light bulb", "bulb"),
    "lightbulb": ("light bulb", "bulb"),
    "close": ("cross", "close"),
    "plus": ("plus", "plus"),
    "add": ("plus", "add"),
    "remove": ("remove", "cross"),
    "exclamation": ("exclamation mark", "exclamation"),
    "question": ("question mark", "question"),
}


def words(stem: str) -> list[str]:
    """Meaningful words of a drawing's name: no style words, no redraw numbers ("user-2")."""
    parts = [part for part in stem.lower().replace("_", "-").split("-") if part]
    kept = [p for i, p in enumerate(parts) if i == 0 or (p not in STYLE_WORDS and not (p.isdigit() and not _counts(parts)))]
    return kept or parts


def _counts(parts: list[str]) -> bool:
    return bool({"numeric", "number", "dice", "alpha", "cards"} & set(parts))


def caption(stem: str, rng: random.Random, *, head_only: float = 0.35) -> str:
    """A random caption of a drawing; with probability ``head_only`` only of the thing without what is beside it."""
    name = words(stem)
    beside: list[str] = []
    if len(name) > 1 and name[-1] in MODIFIERS and name[0] != "arrow":
        name, beside = name[:-1], name[-1:]
        if rng.random() < head_only:
            beside = []
    said = [rng.choice(SYNONYMS.get(word, (word,))) for word in name]
    marks = [rng.choice(SYNONYMS.get(word, (word,))) for word in beside]
    thing = " ".join(said + (["with", *marks] if marks and rng.random() < 0.6 else marks))
    return rng.choice(TEMPLATES).format(thing)


def sayings(stem: str) -> list[str]:
    """Words of all captions of a drawing, for learning the tokenizer's merges."""
    return sorted({part for word in words(stem) for part in SYNONYMS.get(word, (word,))} | set(words(stem)))
