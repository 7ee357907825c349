"""Model folders of Hugging Face's transformers, as models of open_clip.

No library converts this way, so the names are mapped here; tests/backbones/hf compares the features with those that
transformers computes. Weights are read without transformers, which is needed for tokenizers other than CLIP's alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.backbones.hf import clip, siglip
from benchmark.backbones.hf.folder import CONFIG, WEIGHTS, is_transformers, needs_package, read_json
from benchmark.config.errors import UserError

__all__ = ["CONFIG", "WEIGHTS", "create", "is_transformers", "needs_package"]
KINDS = {"clip": clip.create, "siglip": siglip.create}
"""By ``model_type``."""


def create(folder: Path, where: str) -> tuple[Any, Any, Any]:
    """Model, evaluation transform and tokenizer of a folder.

    Raises:
        UserError: it has another architecture, or something in it is missing or broken.
    """
    config = read_json(folder / CONFIG, where)
    make = KINDS.get(str(config.get("model_type")))
    if make is None:
        what = f"{folder} holds a model of the type {config.get('model_type')!r}; known are {', '.join(KINDS)}"
        raise UserError(f"{where}: {what}", fix="use a CLIPModel or a SiglipModel, or the weights in open_clip's format")
    return make(folder, config, where)
