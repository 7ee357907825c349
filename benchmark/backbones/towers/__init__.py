"""Inside the two encoders of a CLIP: their layouts, and temporary changes of them.

``tower(backbone, name)`` is the only place that determines the layout of an encoder.
"""

from __future__ import annotations

from functools import lru_cache

from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers import layouts
from benchmark.backbones.towers.base import TextEncoder, Tower, TowerName, UnknownEncoder
from benchmark.config.discovery import classes_in

__all__ = ["Tower", "TowerName", "known_layouts", "tower"]


@lru_cache(maxsize=1)
def known_layouts() -> tuple[type[Tower], ...]:
    """The layouts of image encoders, in the order in which they are tried."""
    return tuple(sorted(classes_in(layouts, Tower), key=lambda cls: -cls.priority))  # type: ignore[type-abstract]


def tower(backbone: Backbone, name: TowerName) -> Tower:
    """An encoder of a backbone."""
    if name == "text":
        return TextEncoder(backbone.text)
    visual = backbone.model.visual
    layout = next((cls for cls in known_layouts() if cls.matches(visual)), UnknownEncoder)
    return layout(visual)
