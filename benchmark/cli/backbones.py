"""Backbones as users name them in options."""

from __future__ import annotations

from benchmark.config.errors import UserError, did_you_mean
from benchmark.config.schema import BackboneSpec, RunSpec
from benchmark.config.validation import check


def named_backbone(name: str, spec: RunSpec, where: str) -> BackboneSpec:
    """A backbone of the YAML, or one named as open_clip names it.

    Args:
        name: A name in the YAML, ``MODEL:PRETRAINED``, or ``local-dir:``, ``hf-hub:`` or ``bundled:`` and what follows.
        spec: What the YAML says.
        where: The option, for messages.

    Raises:
        UserError: there is no such backbone.
    """
    if name in spec.backbones:
        return spec.backbones[name]
    if name.startswith(("local-dir:", "hf-hub:", "bundled:")):
        return check(BackboneSpec, {"model": name}, where=where)
    model, separator, pretrained = name.partition(":")
    if not separator:
        fix = f"{did_you_mean(name, spec.backbones)}; or write MODEL:PRETRAINED"
        raise UserError(f"{where} {name}: no such backbone in the YAML", fix=fix)
    return check(BackboneSpec, {"model": model, "pretrained": pretrained}, where=where)
