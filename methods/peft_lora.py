"""LoRA and DoRA as Hugging Face's PEFT trains and stores them."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator, Field
from torch import nn

from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers import TowerName
from benchmark.backbones.towers.tensors import Address, linears, with_changes
from benchmark.method import AdamWConfig, Batch, Incompatible, Info, Method, Official
from benchmark.method.peft_files import Adapter, Change, adapter_of, write_adapter

TOWERS: tuple[TowerName, ...] = ("text", "vision")
Patterns = Annotated[tuple[str, ...], BeforeValidator(tuple)]


class PeftLora(Method):
    """W' = W + s B A, with s = alpha / r or, for rsLoRA, alpha / sqrt(r); for DoRA W' = m (W + s B A) / |W + s B A|, row by
    row.

    On another backbone B and A change its weights, as PEFT does with an adapter on another base model; DoRA's m, the lengths
    of the old rows, come along. PEFT has no recipe for training: ours is CLIP-LoRA's. Its dropout is not applied.

    Sources: LoRA (Hu et al. 2022), equation 3; rsLoRA (Kalajdzievski 2023); DoRA (Liu et al. 2024), equation 5.
    """

    info = Info(
        name="peft-lora",
        title="LoRA (PEFT)",
        summary="low-rank updates of linear maps, as Hugging Face's PEFT has them",
        tunes=("text", "vision"),
        depth="deep",
        paper="LoRA: Low-Rank Adaptation of Large Language Models",
        year=2022,
        venue="ICLR",
        url="https://arxiv.org/abs/2106.09685",
        code="https://github.com/huggingface/peft",
        parameters="4 * rank * (L_t * d_t + L_v * d_v)",  # of the default targets
        transfer="the change of weights is added to the new weights; needs maps of equal sizes",
        listed=False,
        bibtex="""@inproceedings{hu2022lora,
  title={{LoRA}: Low-Rank Adaptation of Large Language Models},
  author={Hu, Edward J. and Shen, Yelong and Wallis, Phillip and Allen-Zhu, Zeyuan and Li, Yuanzhi and Wang, Shean and
          Wang, Lu and Chen, Weizhu},
  booktitle={ICLR}, year={2022}}""",
    )

    class Config(AdamWConfig):
        """PEFT's rank and alpha; the schedule is CLIP-LoRA's."""

        lr: float = Field(default=2e-4, gt=0)
        steps_per_shot: int | None = Field(default=500, ge=1)
        min_lr: float = Field(default=1e-6, ge=0)
        drop_last: bool = False
        targets: Patterns = ("text_*_q", "text_*_v", "vision_*_q", "vision_*_v")
        """Names or patterns of what is changed: TOWER_LAYER_MAP with the maps q, k, v, out, fc1 and fc2, or
        TOWER_projection."""
        rank: int = Field(default=8, ge=1)
        alpha: float = Field(default=8.0, gt=0)
        rslora: bool = False
        """Whether the scale is alpha / sqrt(r) instead of alpha / r."""
        dora: bool = False
        """Whether the lengths of the weights' rows are learnt apart."""
        ranks: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
        """Ranks of single maps, by name."""
        alphas: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
        """Alphas of single maps, by name."""

    offsets = ("lora.up.*",)
    presets = {"small": {"steps": 20, "batch_size": 16, "drop_last": True, "lr": 0.03}}

    @classmethod
    def incompatibility(cls, config: Any, backbone: Backbone) -> str | None:
        known = [address.key for name in TOWERS for address in linears(backbone, name)]
        for target in config.targets:
            if not any(fnmatchcase(key, target) for key in known):
                return f"its towers have no map {target}"
        return None

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """An adapter of PEFT on ``CLIPModel`` or ``SiglipModel``: ``adapter_config.json`` and its tensors."""
        adapter = adapter_of(content)
        if adapter is None:
            return None
        tensors: dict[str, torch.Tensor] = {}
        for key, change in adapter.changes.items():
            tensors[f"lora.down.{key}"], tensors[f"lora.up.{key}"] = change.down, change.up
            if change.magnitude is not None:
                tensors[f"lora.magnitude.{key}"] = change.magnitude
        dora = [change.magnitude is not None for change in adapter.changes.values()]
        if any(dora) and not all(dora):
            raise Incompatible("some of its maps are DoRA's and some are not")
        settings = {
            "targets": list(adapter.targets),
            "rank": adapter.rank,
            "alpha": adapter.alpha,
            "rslora": adapter.rslora,
            "dora": all(dora),
            "ranks": {key: len(c.down) for key, c in adapter.changes.items() if len(c.down) != adapter.rank},
            "alphas": {key: c.alpha for key, c in adapter.changes.items() if c.alpha != adapter.alpha},
        }
        return Official(settings, tensors, adapter.note)

    @classmethod
    def as_peft(cls, config: Any, tensors: Mapping[str, torch.Tensor], *, siglip: bool = False) -> dict[str, Any]:
        keys = [name.removeprefix("lora.up.") for name in tensors if name.startswith("lora.up.")]
        changes = {
            key: Change(
                tensors[f"lora.down.{key}"],
                tensors[f"lora.up.{key}"],
                config.alphas.get(key, config.alpha),
                tensors.get(f"lora.magnitude.{key}"),
            )
            for key in keys
        }
        return write_adapter(Adapter(changes, config.rank, config.alpha, config.rslora), siglip=siglip)

    @property
    def needs_pixels(self) -> bool:
        return any(address.key.startswith("vision") for address in self.addresses)

    def build(self) -> None:
        config = self.config
        found = [address for name in TOWERS for address in linears(self.backbone, name)]
        self.addresses = [a for a in found if any(fnmatchcase(a.key, target) for target in config.targets)]
        self.lora = _LowRank(config, self.addresses)
        if config.dora:
            lengths = {a.key: _weight(self.backbone, a).norm(dim=1).clone() for a in self.addresses}
            self.lora.magnitude.update(lengths)

    def class_features(self) -> torch.Tensor:
        changes = self._changes("text")
        if not changes:
            return super().class_features()
        backbone = self.backbone
        return self.template_features(lambda ids, eot: with_changes(backbone, changes, backbone.encode_ids, ids, eot))

    def image_features(self, batch: Batch) -> torch.Tensor:
        changes = self._changes("vision")
        if not changes:
            return super().image_features(batch)
        return with_changes(self.backbone, changes, self.backbone.encode_image, batch.pixels)

    def _changes(self, name: TowerName) -> dict[Address, torch.Tensor]:
        return {a: self._change(a) for a in self.addresses if a.key.startswith(f"{name}_")}

    def _change(self, address: Address) -> torch.Tensor:
        """What is added to the weight (d_out, d_in) of a map."""
        change = self.lora.scales[address.key] * (self.lora.up[address.key] @ self.lora.down[address.key])
        if not self.config.dora:
            return change
        weight = _weight(self.backbone, address)
        turned = weight + change
        length = turned.detach().norm(dim=1, keepdim=True)  # constant in the gradient, as in DoRA's section 4.3
        return self.lora.magnitude[address.key][:, None] / length * turned - weight


class _LowRank(nn.Module):
    """A, random, and B, zero, of every map."""

    def __init__(self, config: Any, addresses: Sequence[Address]) -> None:
        super().__init__()
        ranks = {address.key: config.ranks.get(address.key, config.rank) for address in addresses}
        self.down = nn.ParameterDict({a.key: torch.empty(ranks[a.key], a.shape[1]) for a in addresses})
        self.up = nn.ParameterDict({a.key: torch.zeros(a.shape[0], ranks[a.key]) for a in addresses})
        self.magnitude = nn.ParameterDict()
        for matrix in self.down.values():
            nn.init.kaiming_uniform_(matrix, a=5**0.5)
        self.scales = {
            key: config.alphas.get(key, config.alpha) / (rank**0.5 if config.rslora else rank) for key, rank in ranks.items()
        }


def _weight(backbone: Backbone, address: Address) -> torch.Tensor:
    """The weight (d_out, d_in) of a map."""
    parameter: torch.Tensor = backbone.model.get_parameter(address.parameter).detach().float()
    return parameter.T if address.transposed else parameter[address.rows[0] : address.rows[1]]
