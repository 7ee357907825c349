"""Class names and templates of ImageNet as open_clip has them, read without importing open_clip, which takes seconds."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType


def _metadata() -> ModuleType:
    package = importlib.util.find_spec("open_clip")
    assert package is not None
    assert package.origin is not None
    file = Path(package.origin).with_name("zero_shot_metadata.py")
    spec = importlib.util.spec_from_file_location("_open_clip_zero_shot_metadata", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_TEXTS = _metadata()
IMAGENET_CLASSNAMES: tuple[str, ...] = tuple(_TEXTS.IMAGENET_CLASSNAMES)
SIMPLE_IMAGENET_TEMPLATES: tuple[Callable[[str], str], ...] = tuple(_TEXTS.SIMPLE_IMAGENET_TEMPLATES)
OPENAI_IMAGENET_TEMPLATES: tuple[Callable[[str], str], ...] = tuple(_TEXTS.OPENAI_IMAGENET_TEMPLATES)
