"""Tiny CLIPs with random weights, one of each layout, in open_clip's own folder format: what methods are checked on."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.model import CLIP, CustomTextCLIP
from safetensors.torch import save_file

import benchmark.backbones.icon_towers  # noqa: F401 - registers the towers that some configs name
from benchmark.backbones import bpe
from benchmark.data.dataset import ArrayImages, Augmentation, Examples, TestSet
from benchmark.data.task import BASE_TO_NEW, Task, TaskId

WORDS = "a photo of an icon red dog cat blue bird lorry house tree boat x".split()
"""What their tokenizers have whole."""
OTHERS = (
    "sun sea ship hill lake rain snow wind star moon leaf seed corn rice milk salt fish frog bear wolf goat lamb".split()
)
"""More words, so that there are more than the text towers have dimensions."""
CLASSES = ("red dog", "cat", "blue_bird", "lorry")
UNSEEN = ("house", "a_red tree", "boat")
TEXT = {"width": 32, "heads": 2, "layers": 2, "context_length": 24}
NATIVE = {"image_size": 32, "patch_size": 16, "width": 32, "layers": 2, "head_width": 16}


def _timm(name: str) -> dict[str, Any]:
    return {
        "timm_model_name": name,
        "timm_model_pretrained": False,
        "timm_pool": "token",
        "timm_proj": None,
        "image_size": 32,
    }


CONFIGS: dict[str, dict[str, Any]] = {
    "native": {"embed_dim": 32, "quick_gelu": True, "vision_cfg": NATIVE, "text_cfg": TEXT},
    "eva": {"embed_dim": 32, "custom_text": True, "vision_cfg": _timm("pico_eva"), "text_cfg": TEXT},
    "narrow": {"embed_dim": 24, "quick_gelu": True, "vision_cfg": NATIVE, "text_cfg": {**TEXT, "context_length": 20}},
    "stem": {"embed_dim": 32, "vision_cfg": _timm("pico_stem_vit"), "text_cfg": TEXT},
    "twin": {
        "embed_dim": 32,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 128, "layers": 4, "head_width": 32},
        "text_cfg": TEXT,
    },
    "wide": {"embed_dim": 32, "quick_gelu": True, "vision_cfg": NATIVE, "text_cfg": {**TEXT, "width": 48}},
}
"""OpenAI's layout; EVA-02-CLIP's; one of another embedding width and context length; a timm ViT; OpenAI's layout with the
widths and layers of "eva"; another text width."""
SCALES = {"native": 12.0, "eva": 20.0, "narrow": 9.0, "stem": 15.0, "twin": 12.0, "wide": 12.0}


def write(folder: Path, cfg: dict[str, Any], *, seed: int, scale: float = 12.0) -> Path:
    """A random CLIP as an open_clip ``local-dir`` folder; its weights are large enough that classes differ."""
    folder.mkdir(parents=True)
    vocab = bpe.write(bpe.learn(Counter(WORDS + OTHERS), 110), folder / "merges.txt.gz")
    text = {**cfg["text_cfg"], "vocab_size": vocab}
    preprocess = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    content = {"model_cfg": {**cfg, "text_cfg": {**text, "tokenizer_kwargs": {"bpe_path": "merges.txt.gz"}}}}
    (folder / "open_clip_config.json").write_text(json.dumps(content | {"preprocess_cfg": preprocess}))
    torch.manual_seed(seed)
    kind = CustomTextCLIP if cfg.get("custom_text") else CLIP
    model = kind(**{key: value for key, value in cfg.items() if key != "custom_text"} | {"text_cfg": text})
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "token_embedding" in name:
                value.normal_(std=0.5)
            elif value.ndim > 1:
                value.mul_(10.0 if name.startswith("visual.trunk") else 2.5)
            elif name.endswith("bias"):
                value.normal_(std=0.02)
            elif name != "logit_scale":
                value.add_(0.1 * torch.randn_like(value))
        model.logit_scale.fill_(math.log(scale))
    save_file(
        {name: value.contiguous() for name, value in model.state_dict().items()}, folder / "open_clip_model.safetensors"
    )
    return folder


def pictures(labels: Any, *, classes: int = 8, seed: int = 0, noise: float = 40.0) -> np.ndarray:
    """uint8 (N, 32, 32, 3): one coarse random pattern per class, and noise."""
    patterns = np.random.default_rng(0).integers(0, 256, (classes, 4, 4, 3))
    clean = patterns[list(labels)].repeat(8, 1).repeat(8, 2)
    return np.clip(clean + np.random.default_rng(seed).normal(0, noise, clean.shape), 0, 255).astype(np.uint8)


def examples(classes: int, per_class: int, seed: int) -> Examples:
    """As many pictures of every class as asked for."""
    labels = tuple(label for label in range(classes) for _ in range(per_class))
    return Examples(ArrayImages(pictures(labels, seed=seed)), labels)


def task(shots: int = 3) -> Task:
    """A task of four classes to train on, tested on them and on three others."""
    base, new = (
        TestSet(part, examples(len(names), 2, 3), names, "a photo of a {}.")
        for part, names in (("base", CLASSES), ("new", UNSEEN))
    )
    return Task(
        id=TaskId("tiny", BASE_TO_NEW, shots, 1),
        classes=CLASSES,
        template="a photo of a {}.",
        context_words="a photo of a",
        train=examples(len(CLASSES), shots, 1),
        val=examples(len(CLASSES), 2, 2),
        tests=(base, new),
        augmentation=Augmentation(crop=(0.7, 1.0), flip=False),
        shots=shots,
    )
