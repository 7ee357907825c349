"""Captions of drawings."""

from __future__ import annotations

import random

from pretraining.captions import TEMPLATES, caption, words


def test_captions_name_the_drawing_and_never_its_style():
    rng = random.Random(0)
    for stem in ("home-outline", "user-plus", "arrow-left", "numeric-5-box", "bell-off"):
        for _ in range(20):
            text = caption(stem, rng)
            assert text.strip()
            assert "outline" not in text
            assert "{" not in text
    assert words("home-outline") == ["home"]
    assert "5" in words("numeric-5-box")
    assert words("user-2") == ["user"]
    assert all(template.count("{}") == 1 for template in TEMPLATES)
