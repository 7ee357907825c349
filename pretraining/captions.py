"""Turns names of drawings into captions for the pre-training of the icon-world releases.

Like alt texts on the web, captions vary in wording and detail: a random template, a random synonym, sometimes only the
head noun. Words for style ("outline", "filled") are left out, so that a caption describes what is drawn, not how.
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
"""Words that, at the end of a name, say what is drawn next to the main object."""

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
    """Meaningful words of a drawing's name: no style words, no version numbers ("user-2")."""
    parts = [part for part in stem.lower().replace("_", "-").split("-") if part]
    return [
        part
        for position, part in enumerate(parts)
        if position == 0 or (part not in STYLE_WORDS and not (part.isdigit() and not _counts(parts)))
    ]


def _counts(parts: list[str]) -> bool:
    return bool({"numeric", "number", "dice", "alpha", "cards"} & set(parts))


def caption(stem: str, rng: random.Random, *, head_only: float = 0.35) -> str:
    """A random caption of a drawing; with probability ``head_only`` it leaves out the modifier."""
    name = words(stem)
    modifier: list[str] = []
    if len(name) > 1 and name[-1] in MODIFIERS and name[0] != "arrow":
        name, modifier = name[:-1], name[-1:]
        if rng.random() < head_only:
            modifier = []
    subject = [rng.choice(SYNONYMS.get(word, (word,))) for word in name]
    marks = [rng.choice(SYNONYMS.get(word, (word,))) for word in modifier]
    description = " ".join(subject + (["with", *marks] if marks and rng.random() < 0.6 else marks))
    return rng.choice(TEMPLATES).format(description)


def sayings(stem: str) -> list[str]:
    """All words in the captions of a drawing, for learning the tokenizer's merges."""
    return sorted({part for word in words(stem) for part in SYNONYMS.get(word, (word,))} | set(words(stem)))
