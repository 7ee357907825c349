"""Contrastive pre-training of an icon-world release (Radford et al. 2021, section 2), resumable, on CPU or GPU.

Two deviations, because there are only a few thousand drawings and steps: drawings with the same caption in a batch are
positives of each other, and an auxiliary noun classifier (discarded at the end) helps the vision tower to start learning.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

import benchmark.backbones.icon_towers  # noqa: F401 - registers the towers that the configs name
from benchmark.backbones import bpe
from pretraining.augment import augment
from pretraining.captions import caption
from pretraining.corpus import Corpus, learn_merges
from pretraining.recipes import RECIPES, RELEASES, Recipe

MEAN = STD = 0.5
CHECKPOINT_SECONDS = 120
WEIGHTS = "open_clip_model.safetensors"
SHARES = (0.03, 0.08, 0.15, 0.25, 0.4, 0.6, 0.8, 1.0)
"""Shares of a release's steps after which its weights are kept: denser at first, where they change most."""


def build(recipe: Recipe, folder: Path) -> tuple[nn.Module, SimpleTokenizer]:
    """Write the release's config and tokenizer into ``folder`` and build its untrained model."""
    folder.mkdir(parents=True, exist_ok=True)
    vocab_size = bpe.write(learn_merges(recipe.merges), folder / "merges.txt.gz")
    cfg = recipe.model_cfg(vocab_size)
    _write_config(folder, cfg)
    torch.manual_seed(recipe.seed)
    kind = CustomTextCLIP if cfg.pop("custom_text", False) else CLIP
    model = kind(**cfg)
    return model, SimpleTokenizer(bpe_path=str(folder / "merges.txt.gz"), context_length=recipe.context_length)


def _write_config(folder: Path, cfg: dict[str, Any]) -> None:
    text = {**cfg["text_cfg"], "tokenizer_kwargs": {"bpe_path": "merges.txt.gz"}}
    preprocess = {"mean": [MEAN] * 3, "std": [STD] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    content = {"model_cfg": {**cfg, "text_cfg": text}, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def take_over(model: nn.Module, source: Path, towers: tuple[str, ...]) -> None:
    """Start ``towers`` of ``model`` from the weights of another release, in either of open_clip's layouts.

    Tensors whose shape differs keep their random start, and so do token embeddings if the vocabularies differ.
    """
    weights = {_plain(name): value.float() for name, value in load_file(source / WEIGHTS).items()}
    own = model.state_dict()
    for name in own:
        tower = "vision" if name.startswith("visual.") else "text"
        given = weights.get(_plain(name))
        if name != "logit_scale" and tower in towers and given is not None and given.shape == own[name].shape:
            own[name] = given
    model.load_state_dict(own)


def _plain(name: str) -> str:
    return name.removeprefix("text.")


def encode_text(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Text features of token ids, computed only as far as the longest caption of the batch (causal towers)."""
    text = getattr(model, "text", model)
    length = int((ids != 0).sum(1).max())
    x = text.token_embedding(ids[:, :length]) + text.positional_embedding[:length]
    x = text.transformer(x, attn_mask=model_mask(text)[:length, :length])
    return text.ln_final(x)[torch.arange(len(ids)), ids.argmax(1)] @ text.text_projection


def model_mask(text: Any) -> torch.Tensor:
    mask: torch.Tensor = text.attn_mask
    return mask


class Trainer:
    """State of one pre-training run; ``step`` advances it, ``save`` and ``resume`` keep it between sessions."""

    def __init__(self, name: str, work: Path, device: str) -> None:
        self.name, self.recipe, self.device = name, RECIPES[name], device
        self.folder, self.checkpoint = work / name, work / f"{name}.checkpoint.pt"
        self.model: Any
        self.model, self.tokenizer = build(self.recipe, self.folder)
        if self.recipe.start_from:
            take_over(self.model, _release(self.recipe.start_from, work), self.recipe.start_towers)
        self.corpus = Corpus.load(self.recipe.families)
        self.head = nn.Linear(self.recipe.embed_dim, self.corpus.noun_count)
        self.model.to(device).train()
        self.head.to(device)
        matrices = [p for n, p in self.model.named_parameters() if p.ndim > 1 and "embedding" not in n]
        others = [p for n, p in self.model.named_parameters() if p.ndim <= 1 or "embedding" in n]
        groups = [
            {"params": matrices + list(self.head.parameters()), "weight_decay": 0.05},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
        self.rng, self.noise = random.Random(self.recipe.seed), torch.Generator().manual_seed(self.recipe.seed)
        self.done = 0

    def step(self) -> float:
        """One batch; returns the contrastive loss."""
        recipe = self.recipe
        progress = min(1.0, self.done / recipe.cycles[0])  # of the curriculum, which ends with the first cosine
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate(self.done)
        drawings = self.rng.sample(range(len(self.corpus.stems)), recipe.batch)
        rows = [self.rng.choice(self.corpus.pictures[drawing]) for drawing in drawings]
        head_only = max(0.35, 1 - progress / recipe.nouns_until) if recipe.nouns_until else 0.35
        captions = [caption(self.corpus.stems[drawing], self.rng, head_only=head_only) for drawing in drawings]
        pictures = augment(
            self.corpus.ink[rows].float() / 255, self.corpus.flip_ok[drawings], self.noise, colour=recipe.colour
        )
        features = self.model.encode_image(((pictures - MEAN) / STD).to(self.device))
        texts = F.normalize(encode_text(self.model, self.tokenizer(captions).to(self.device)), dim=-1)
        logits = self.model.logit_scale.exp() * F.normalize(features, dim=-1) @ texts.T
        numbers: dict[str, int] = {}
        labels = torch.tensor([numbers.setdefault(text, len(numbers)) for text in captions])
        target = (labels[:, None] == labels[None]).float().to(self.device)
        target /= target.sum(1, keepdim=True)
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        scores = self.head(F.layer_norm(features, features.shape[-1:]))
        auxiliary = F.cross_entropy(scores, self.corpus.nouns[drawings].to(self.device))
        self.optimizer.zero_grad()
        (loss + (1 - 0.8 * progress) * auxiliary).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(100))
        self.done += 1
        return float(loss.detach())

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": self.rng.getstate(),
            "noise": self.noise.get_state(),
            "done": self.done,
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    def resume(self) -> None:
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])
        version, numbers, gauss = state["rng"]
        self.rng.setstate((version, tuple(numbers), gauss))
        self.noise.set_state(state["noise"])
        self.done = state["done"]

    def export(self, folder: Path | None = None) -> None:
        """Write the weights in half precision, as in a release; with config and tokenizer if ``folder`` is given."""
        weights = {name: value.detach().cpu().half().contiguous() for name, value in self.model.state_dict().items()}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for file in ("open_clip_config.json", "merges.txt.gz"):
                shutil.copy(self.folder / file, folder / file)
        save_file(weights, (folder or self.folder) / WEIGHTS)


def _release(name: str, work: Path) -> Path:
    trained = work / name
    return trained if (trained / WEIGHTS).exists() else RELEASES / name


def train(name: str, work: Path, *, device: str = "cpu", shares: Sequence[float] = ()) -> None:
    """Pre-train release ``name``, with checkpoints in ``work``; run again to resume after an interruption.

    After each share of the steps in ``shares``, the weights are written to a separate folder, such as ``name-00123`` for
    step 123.
    """
    trainer = Trainer(name, work, device)
    trainer.resume()
    kept = {round(share * trainer.recipe.steps) for share in shares}
    start, first, last_save, total = time.monotonic(), trainer.done, time.monotonic(), 0.0
    while trainer.done < trainer.recipe.steps:
        total += trainer.step()
        if trainer.done in kept:
            trainer.export(work / f"{name}-{trainer.done:05d}")
        if trainer.done % 50 == 0:
            pace = (time.monotonic() - start) / (trainer.done - first)
            left = pace * (trainer.recipe.steps - trainer.done) / 60
            print(
                f"{name} step {trainer.done}/{trainer.recipe.steps} loss {total / 50:.3f}, {left:.0f} min left", flush=True
            )
            total = 0.0
        if time.monotonic() - last_save > CHECKPOINT_SECONDS:
            trainer.save()
            last_save = time.monotonic()
    trainer.save()
    trainer.export()
