"""Texts of ImageNet: those of open_clip, read without importing it."""

from __future__ import annotations

import subprocess
import sys

import open_clip

from benchmark.data import prompt_texts


def test_the_texts_are_open_clips():
    assert list(prompt_texts.IMAGENET_CLASSNAMES) == list(open_clip.IMAGENET_CLASSNAMES)
    for name in ("SIMPLE_IMAGENET_TEMPLATES", "OPENAI_IMAGENET_TEMPLATES"):
        ours, theirs = getattr(prompt_texts, name), getattr(open_clip, name)
        assert [fill("cat") for fill in ours] == [fill("cat") for fill in theirs]


def test_open_clip_is_not_imported():
    code = "import sys; import benchmark.data.prompt_texts; print('open_clip' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
