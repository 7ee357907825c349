"""The recipes of the icon-world releases, as data.

After an entry is changed, ``python -m pretraining train NAME`` trains that release again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RELEASES = Path(__file__).resolve().parents[1] / "benchmark" / "backbones" / "releases"

FIRST_FAMILIES = ("material", "fontawesome", "codicon", "elusive")
LATER_FAMILIES = ("fluent", "lucide", "bootstrap", "ionicons", "eva")


@dataclass(frozen=True)
class Recipe:
    """One release."""

    title: str
    families: tuple[str, ...]
    cycles: tuple[int, ...]
    """Steps of each cosine; each starts at the full learning rate (Loshchilov and Hutter 2017)."""
    vision: dict[str, Any]
    """open_clip ``vision_cfg``."""
    batch: int = 256
    lr: float = 2e-3
    embed_dim: int = 128
    context_length: int = 32
    merges: int = 1500
    """Learnt byte-pair merges; releases with the same number share a tokenizer."""
    quick_gelu: bool = False
    custom_text: bool = False
    start_from: str | None = None
    """Release whose weights training starts from."""
    start_towers: tuple[str, ...] = ()
    """The towers whose weights are taken from it: "vision", "text"."""
    colour: float = 0.0
    """Probability of random ink and paper colours instead of black on white."""
    nouns_until: float = 0.4
    """Share of the steps over which captions grow from the head noun to the whole name."""
    seed: int = 0
    story: str = ""

    @property
    def steps(self) -> int:
        """Total number of training steps."""
        return sum(self.cycles)

    def rate(self, step: int) -> float:
        """Learning rate of a step: a linear warm-up over the first 100 steps, cosines to zero."""
        first = 0
        for length in self.cycles:
            if step < first + length:
                break
            first += length
        return self.lr * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * (step - first) / length))

    def model_cfg(self, vocab_size: int) -> dict[str, Any]:
        """open_clip ``model_cfg`` of the release."""
        text = {"context_length": self.context_length, "vocab_size": vocab_size, "width": 128, "heads": 4, "layers": 4}
        cfg: dict[str, Any] = {"embed_dim": self.embed_dim, "vision_cfg": self.vision, "text_cfg": text}
        if self.quick_gelu:
            cfg["quick_gelu"] = True
        if self.custom_text:
            cfg["custom_text"] = True
        return cfg


def _timm(name: str) -> dict[str, Any]:
    return {
        "timm_model_name": name,
        "timm_model_pretrained": False,
        "timm_pool": "token",
        "timm_proj": None,
        "image_size": 32,
    }


_NATIVE = {"image_size": 32, "patch_size": 8, "width": 128, "layers": 4, "head_width": 32}

RECIPES = {
    "v1": Recipe(
        title="old release",
        families=FIRST_FAMILIES,
        cycles=(2200,),
        vision=_NATIVE,
        quick_gelu=True,
        story="Stands for the old CLIP: open_clip's native ViT with packed attention and QuickGELU.",
    ),
    "v2": Recipe(
        title="v1 trained on with more data",
        families=FIRST_FAMILIES + LATER_FAMILIES,
        cycles=(600,),
        lr=1e-3,
        vision=_NATIVE,
        quick_gelu=True,
        start_from="v1",
        start_towers=("vision", "text"),
        colour=0.4,
        nouns_until=0.0,
        seed=2,
        story="Small drift: same shapes, v1's weights trained on with five more icon families and with colours.",
    ),
    "v3": Recipe(
        title="new vision tower, text tower trained on",
        families=FIRST_FAMILIES + LATER_FAMILIES,
        cycles=(1600,),
        vision=_timm("pico_eva"),
        custom_text=True,
        start_from="v1",
        start_towers=("text",),
        colour=0.4,
        nouns_until=0.15,
        seed=3,
        story="Made as EVA-CLIP was: a new EVA-02 vision tower, the text tower started from the old release's.",
    ),
    "v4": Recipe(
        title="same shapes, trained from scratch",
        families=("fluent", "google", "fontawesome", "bootstrap", "lucide", "ionicons", "eva"),
        cycles=(2200, 850),
        vision=_NATIVE,
        colour=0.1,
        seed=4,
        story="Somebody else's CLIP: shapes as in v1, other data, no weight in common (as OpenAI's and LAION's).",
    ),
    "v5": Recipe(
        title="other embedding width and tokenizer",
        families=FIRST_FAMILIES + LATER_FAMILIES,
        cycles=(600,),
        vision=_NATIVE,
        embed_dim=96,
        context_length=24,
        merges=900,
        custom_text=True,
        start_from="v1",
        start_towers=("vision", "text"),
        colour=0.3,
        seed=5,
        story="Text width as in v1 but another embedding width, tokenizer and context length: prompts fit, adapters do not. "
        "Started from whatever of v1 has the same shape: everything but token embeddings, positions and projections.",
    ),
}
