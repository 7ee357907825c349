"""What a tower computes on the way: features by stage, from its input to its output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers import TowerName, tower
from benchmark.data.features import CHUNK, Bank

INPUT, OUTPUT, NAMES = "input", "output", "class names"


def stages(backbone: Backbone, name: TowerName) -> list[str]:
    """Names of a tower's stages, first to last; only the output of one that is not a transformer."""
    count = len(tower(backbone, name).blocks)
    return [INPUT, *(f"block {i + 1}" for i in range(count)), OUTPUT] if count else [OUTPUT]


def text_features(backbone: Backbone, texts: list[str]) -> list[torch.Tensor]:
    """(N, width) by stage: inside the tower the mean over a text's tokens, at the output its feature."""
    tokens = backbone.tokenize(texts)
    places = torch.arange(tokens.ids.shape[1], device=tokens.ids.device)
    inside = (places >= tokens.start) & (places < tokens.end[:, None].to(places.device))  # (N, n)
    with torch.no_grad(), _recording(backbone, "text") as seen:
        output = backbone.encode_ids(tokens.ids, tokens.eot)

    def mean(x: torch.Tensor) -> torch.Tensor:
        mask = inside[:, : x.shape[1], None].to(x.dtype)
        return (x * mask).sum(1) / mask.sum(1)

    return [*(mean(x).float().cpu() for x in seen), output.float().cpu()]


def image_features(backbone: Backbone, bank: Bank) -> list[torch.Tensor]:
    """(N, width) by stage: inside the tower the mean over all tokens, at the output the feature of the image."""
    parts: list[list[torch.Tensor]] = []
    for start in range(0, len(bank), CHUNK):
        rows = torch.arange(start, min(start + CHUNK, len(bank)), device=bank.labels.device)
        pixels = bank.batch(rows, torch.zeros_like(rows)).pixels
        assert pixels is not None
        with torch.no_grad(), _recording(backbone, "vision") as seen:
            output = backbone.encode_image(pixels)
        parts.append([*(x.mean(1).float().cpu() for x in seen), output.float().cpu()])
    return [torch.cat(stage) for stage in zip(*parts, strict=True)]


def name_embeddings(backbone: Backbone, names: list[str]) -> torch.Tensor:
    """(C, d_t) mean embedding of the tokens of each class name."""
    tokens = backbone.tokenize(names)
    with torch.no_grad():
        embedded = backbone.embed(tokens.ids).float()
    places = torch.arange(embedded.shape[1], device=embedded.device)
    mask = ((places >= tokens.start) & (places < tokens.end[:, None].to(places.device)))[:, :, None].to(embedded.dtype)
    return ((embedded * mask).sum(1) / mask.sum(1)).cpu()


@contextmanager
def _recording(backbone: Backbone, name: TowerName) -> Iterator[list[torch.Tensor]]:
    """While open, the list takes what enters the first block and what leaves each."""
    seen: list[torch.Tensor] = []

    def entering(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0])

    def leaving(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        seen.append(output[0] if isinstance(output, tuple) else output)

    blocks = tower(backbone, name).blocks
    with ExitStack() as stack:
        if blocks:
            stack.callback(blocks[0].register_forward_pre_hook(entering).remove)
        for block in blocks:
            stack.callback(block.register_forward_hook(leaving).remove)
        yield seen
