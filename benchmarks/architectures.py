"""Which methods' modules fit the newest CLIPs of open_clip, from random weights of the true architectures.

    python benchmarks/architectures.py                 # a table in Markdown; about ten minutes and 8 GB
    python benchmarks/architectures.py PE-Core-B-16    # some of them

Each method is built on OpenAI's architecture of the same size, with the settings of the papers, and its tensors are put into
the other one. Only shapes matter here, so that tokenizers from the hub are replaced by CLIP's.
"""

from __future__ import annotations

import sys
import warnings
from collections import defaultdict

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transform import PreprocessCfg, image_transform_v2

from benchmark.backbones.clip import Backbone
from benchmark.config.errors import UserError
from benchmark.config.validation import check
from benchmark.data.batch import ClassList, FewShots
from benchmark.method.base import Method
from benchmark.method.registry import methods
from benchmark.method.terms import Incompatible
from benchmark.training.modules import attach, require_compatible

OLD = {"B": "ViT-B-16-quickgelu", "L": "ViT-L-14-quickgelu"}
NEW = {
    "ViT-B-16": ("B", "DFN, MetaCLIP, LAION B/16"),
    "EVA02-B-16": ("B", "EVA-02 B/16"),
    "ViT-B-16-SigLIP2": ("B", "SigLIP 2 B/16"),
    "PE-Core-B-16": ("B", "PE-Core B/16"),
    "MobileCLIP2-B": ("B", "MobileCLIP2 B"),
    "MobileCLIP2-S0": ("B", "MobileCLIP2 S0"),
    "ViT-L-14": ("L", "DFN, MetaCLIP, LAION L/14"),
    "EVA02-L-14": ("L", "EVA-02 L/14"),
    "PE-Core-L-14-336": ("L", "PE-Core L/14"),
    "ViT-L-14-worldwide": ("L", "MetaCLIP 2 L/14"),
}
"""Architectures by open_clip's name: which of OpenAI's they are compared with, and whose weights they are."""
END = 49407
"""CLIP's end-of-text token."""
CLASSES = ClassList(("cat", "dog", "boat"), "a photo of a {}.", "a photo of a")
SHOTS = 2


class Stub:
    """CLIP's tokenizer with the end-of-text token that a text tower looks for."""

    def __init__(self, length: int, end: int) -> None:
        self.own, self.end, self.context_length = SimpleTokenizer(context_length=length), end, length

    def __call__(self, texts: list[str], context_length: int | None = None) -> torch.Tensor:
        ids = self.own(texts, context_length)
        return torch.where(ids == END, torch.tensor(self.end), ids)


def load(model: str) -> Backbone:
    """An architecture with random weights and CLIP's tokenizer.

    Raises:
        UserError: the suite cannot use it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built = open_clip.create_model(model, pretrained=None)
    transform = image_transform_v2(PreprocessCfg(**built.visual.preprocess_cfg), is_train=False)
    length = getattr(built, "context_length", None) or built.text.context_length
    text = open_clip.get_model_config(model)["text_cfg"]
    end = text["eos_id"] if text.get("pool_type") == "eos" else END
    return Backbone(model, built, Stub(length, end), transform, torch.device("cpu"))


def shots(backbone: Backbone) -> FewShots:
    labels = torch.arange(len(CLASSES.names)).repeat_interleave(SHOTS)
    return FewShots(labels, lambda views: torch.ones(views, len(labels), backbone.embed_dim))


def tensors_on(cls: type[Method], backbone: Backbone) -> dict[str, torch.Tensor]:
    """What a method learns there, untrained."""
    config = check(cls.Config, cls.preset("paper", "base-to-new", SHOTS, ""), where=cls.info.name)
    require_compatible(cls, config, backbone)
    return cls(config, backbone, CLASSES, shots(backbone)).tensors()


def reason(cls: type[Method], tensors: dict[str, torch.Tensor], new: Backbone) -> str:
    """Why they do not fit another backbone; empty if they do."""
    config = check(cls.Config, cls.preset("paper", "base-to-new", SHOTS, ""), where=cls.info.name)
    try:
        require_compatible(cls, config, new)
        attach(cls, config, new, CLASSES, tensors, shots(new))
    except Incompatible as error:
        return str(error).replace(f" on {new.name}", "")
    return ""


def main(wanted: list[str]) -> None:
    torch.manual_seed(0)
    classes = {name: plugin.cls for name, plugin in methods().plugins.items() if plugin.cls.info.tunes}
    learnt = {}
    for size, model in OLD.items():
        old = load(model)
        for name, cls in classes.items():
            learnt[size, name] = tensors_on(cls, old)
        print(f"built on {model}", file=sys.stderr)
    for model, (size, title) in NEW.items():
        if wanted and model not in wanted:
            continue
        try:
            new = load(model)
        except UserError as error:
            print(f"\n**{title}** (`{model}`): {error}")
            continue
        fits, others = [], defaultdict(list)
        for name, cls in classes.items():
            why = reason(cls, learnt[size, name], new)
            (others[why] if why else fits).append(f"`{name}`")
        print(f"\n**{title}** (`{model}`): {len(fits)} of {len(classes)} fit: {', '.join(fits) or 'none'}.")
        for why, names in others.items():
            print(f"- {why}: {', '.join(names)}")
        del new


if __name__ == "__main__":
    main(sys.argv[1:])
