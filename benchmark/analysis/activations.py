"""What a tower computes on the way: features and parameters by stage, from its input to its output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from benchmark.backbones.attention import Tower, blocks, layers
from benchmark.backbones.clip import Backbone
from benchmark.data.features import CHUNK, Bank

INPUT, OUTPUT, NAMES = "input", "output", "class names"


def stages(backbone: Backbone, tower: Tower) -> list[str]:
    """Names of a tower's stages, first to last; of one that is no transformer the output alone."""
    if not layers(backbone, tower):
        return [OUTPUT]
    return [INPUT, *(f"block {i + 1}" for i in range(layers(backbone, tower))), OUTPUT]


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
def _recording(backbone: Backbone, tower: Tower) -> Iterator[list[torch.Tensor]]:
    """While open, the list takes what enters the first block and what leaves each."""
    seen: list[torch.Tensor] = []

    def entering(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0])

    def leaving(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        seen.append(output[0] if isinstance(output, tuple) else output)

    found = blocks(backbone, tower)
    with ExitStack() as stack:
        if found:
            stack.callback(found[0].register_forward_pre_hook(entering).remove)
        for block in found:
            stack.callback(block.register_forward_hook(leaving).remove)
        yield seen


def parameters(backbone: Backbone, tower: Tower) -> list[dict[str, torch.Tensor]]:
    """By stage, names and values of what a checkpoint holds: what stands before the blocks, each block, what comes after.
    Of a tower without blocks, all together."""
    text = backbone.text
    inside = [dict(block.state_dict()) for block in blocks(backbone, tower)]
    if tower == "text":
        before = {"tokens": text.token_embedding.weight, "positions": text.positional_embedding}
        after = {f"norm.{name}": value for name, value in text.ln_final.state_dict().items()}
        if isinstance(text.projection, nn.Module):
            after |= {f"projection.{name}": value for name, value in text.projection.state_dict().items()}
        elif text.projection is not None:
            after["projection"] = text.projection
        return [before, *inside, after]
    visual: Any = backbone.model.visual
    if not inside:
        return [dict(visual.named_parameters())]
    whole = {id(value): name for name, value in visual.named_parameters()}
    within = {id(value) for block in blocks(backbone, tower) for value in block.parameters()}
    before, after, ended = {}, {}, False
    for value_id, name in whole.items():
        if value_id in within:
            ended = True  # parameters are registered in the order in which they are used
        elif ended and "embed" not in name and "ln_pre" not in name:
            after[name] = visual.get_parameter(name)
        else:
            before[name] = visual.get_parameter(name)
    return [before, *inside, after]
