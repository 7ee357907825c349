"""Checks that a backbone is what it claims to be, before anything is trained on it."""

from __future__ import annotations

import torch
from PIL import Image

from benchmark.backbones.clip import Backbone
from benchmark.config.errors import UserError

SCALES = (5.0, 200.0)
"""Logit scales that trained CLIPs have: about 14 at the start of training, 100 at its bound."""
TEXTS = ("a photo of a cat.", "a diagram of an engine.", "the sea at night.")


def check(backbone: Backbone) -> list[str]:
    """Warnings about a loaded backbone.

    Raises:
        UserError: its features are not finite, do not depend on what goes in, or are not those of the model itself.
    """
    where = f"backbone {backbone.name!r}"
    fix = "get the weights again, and check that 'model' is the architecture that they were trained with"
    with torch.no_grad():
        texts = backbone.encode_texts(TEXTS).float()
        own = backbone.model.encode_text(backbone.tokenizer(list(TEXTS)).to(backbone.device)).float()  # type: ignore[operator]
        images = backbone.encode_image(torch.stack([backbone.preprocess(image) for image in _pictures(backbone)])).float()
    for what, features in (("text", texts), ("image", images)):
        if not torch.isfinite(features).all():
            raise UserError(f"its {what} features are not finite", where=where, fix=fix)
        if torch.pdist(torch.nn.functional.normalize(features, dim=-1)).max() < 1e-4:
            raise UserError(f"its {what} features are the same for everything", where=where, fix=fix)
    if torch.nn.functional.cosine_similarity(texts, own).min() < 0.999:
        what = "its text tower has a part between tokens and features that prompts would miss"
        raise UserError(what, where=where, fix="use another backbone")
    scale = float(backbone.logit_scale)
    if not SCALES[0] <= scale <= SCALES[1]:
        return [f"{where}: its logit scale is {scale:.1f}; trained CLIPs have {SCALES[0]:.0f} to {SCALES[1]:.0f}"]
    return []


def _pictures(backbone: Backbone) -> list[Image.Image]:
    """A white, a dark and a two-coloured picture."""
    size = (backbone.image_size, backbone.image_size)
    halves = Image.new("RGB", size, (220, 30, 30))
    halves.paste((20, 40, 200), (0, 0, size[0] // 2, size[1]))
    return [Image.new("RGB", size, (255, 255, 255)), Image.new("RGB", size, (10, 10, 10)), halves]
