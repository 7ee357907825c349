"""CLIP-LoRA: low-rank updates of the attention projections of both towers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field

from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers import TowerName, tower
from benchmark.backbones.towers.attention import Projection, projections
from benchmark.method import AdamWConfig, Batch, Incompatible, Info, Method, Official
from benchmark.method.lora import LowRank, unknown_attention
from benchmark.method.peft_files import Adapter, Change, write_adapter

POSITIONS = {
    "all": (0.0, 1.0),
    "bottom": (0.0, 1 / 3),
    "mid": (1 / 3, 2 / 3),
    "up": (2 / 3, 1.0),
    "half-bottom": (0.0, 0.5),
    "half-up": (0.5, 1.0),
    "top3": (9 / 12, 1.0),
    "top2": (10 / 12, 1.0),
    "top1": (11 / 12, 1.0),
    "top": (11 / 12, 1.0),
}
"""Shares of a tower's depth. On 12 layers: 0-11, 0-3, 4-7, 8-11, 0-5, 6-11 and 9-11, the sets of the official code."""
LARGE = (1024, 24)
"""Width and layers of the vision tower of ViT-L/14."""
OFFICIAL_ROLES = {"q_proj": "q", "k_proj": "k", "v_proj": "v", "proj": "out"}
"""Projections by their names in the official code's files."""


class ClipLora(Method):
    """y = W x + (alpha / sqrt(r)) B A dropout(x) on chosen projections; B starts at zero (section 4, official code).

    The scale is rsLoRA's alpha / sqrt(r), as in the official code. The module holds A and B, which together are a change of
    weights; on another backbone the same change is added to that backbone's projections.
    """

    info = Info(
        name="clip-lora",
        title="CLIP-LoRA",
        summary="low-rank updates of attention projections in both towers",
        tunes=("text", "vision"),
        depth="deep",
        aliases=("lora",),
        code="https://github.com/MaxZanella/CLIP-LoRA",
        parameters="2 * rank * len(roles) * ((encoder != 'vision') * L_t * d_t + (encoder != 'text') * L_v * d_v)",
        transfer="the change of weights is added to the new weights; needs towers of equal widths and numbers of layers",
        paper="Low-Rank Few-Shot Adaptation of Vision-Language Models",
        year=2024,
        venue="CVPR Workshops",
        url="https://arxiv.org/abs/2405.18541",
        bibtex="""@inproceedings{zanella2024cliplora,
  title={Low-Rank Few-Shot Adaptation of Vision-Language Models},
  author={Zanella, Maxime and Ben Ayed, Ismail},
  booktitle={CVPR Workshops}, year={2024}}""",
    )

    class Config(AdamWConfig):
        """Defaults: the official code's. It trains with s = 100 for all weights; here s is the backbone's own. It has
        "a photo of a {}." on most data sets; here each has its own template, so that methods compare."""

        lr: float = Field(default=2e-4, gt=0)
        steps_per_shot: int | None = Field(default=500, ge=1)
        min_lr: float = Field(default=1e-6, ge=0)
        drop_last: bool = False
        encoder: Literal["both", "text", "vision"] = "both"
        position: Literal["all", "bottom", "mid", "up", "half-bottom", "half-up", "top", "top1", "top2", "top3"] = "all"
        vision_layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(tuple)] | None = None
        """Layers of the image tower in place of ``position``'s, for files of the official code that name others."""
        roles: Annotated[tuple[Literal["q", "k", "v", "out"], ...], BeforeValidator(tuple)] = ("q", "k", "v")
        rank: int = Field(default=2, ge=1)
        alpha: float = Field(default=1.0, gt=0)
        dropout: float = Field(default=0.25, ge=0, lt=1)

    offsets = ("*.up.*",)
    presets = {"small": {"steps": 20, "batch_size": 16, "drop_last": True, "lr": 0.03}}

    @classmethod
    def depths(cls, backbone: Backbone) -> list[dict[str, Any]]:
        return [{"position": position} for position in ("bottom", "mid", "up")]

    @classmethod
    def incompatibility(cls, config: Any, backbone: Backbone) -> str | None:
        for name in _towers(config):
            depth = len(tower(backbone, name).blocks)
            if max(_layers(config, name, depth), default=0) >= depth:
                return f"the {name} tower has only {depth} layers"
        return unknown_attention(backbone, _towers(config))

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """The official ``lora_weights.pt``: weights[layer_i][q_proj | k_proj | v_proj | proj][w_lora_A | w_lora_B].

        i counts the chosen layers, those of the text tower first. The file does not say where those of the vision tower
        begin: here, where the width changes, or at the middle if it does not. Nor does it give the depths: they follow
        from the position's share and the number of layers.
        """
        weights, metadata = content.get("weights"), content.get("metadata")
        if not isinstance(weights, Mapping) or not isinstance(metadata, Mapping):
            return None
        layers: list[Any] = [weights.get(f"layer_{i}") for i in range(len(weights))]
        if not layers or None in layers or not {"r", "alpha", "encoder", "position"} <= metadata.keys():
            return None
        encoder, position = metadata["encoder"], metadata["position"]
        if position not in POSITIONS or encoder not in ("both", "text", "vision"):
            raise Incompatible(f"position {position!r} of encoder {encoder!r} is not known here")
        if any(layer.keys() != layers[0].keys() for layer in layers) or not layers[0].keys() <= OFFICIAL_ROLES.keys():
            raise Incompatible("its layers do not have the same known projections")
        widths = [next(iter(layer.values()))["w_lora_A"].shape[1] for layer in layers]
        changes = [i for i in range(1, len(widths)) if widths[i] != widths[i - 1]]
        border = changes[0] if changes else len(layers) // 2
        text = {"text": len(layers), "vision": 0, "both": border}[encoder]
        tensors: dict[str, torch.Tensor] = {}
        settings: dict[str, Any] = {}
        places = []
        for encoder_name, part in (("text", layers[:text]), ("vision", layers[text:])):
            if not part:
                continue
            first, last = POSITIONS[position]
            depth = round(len(part) / (last - first))
            start = round(first * depth)
            if encoder_name == "vision" and widths[-1] == LARGE[0] and depth != LARGE[1]:
                # Lists of layers that were made for 12 layers, or stop early; the other layers are unchanged.
                depth, start = LARGE[1], round(first * 12)
                settings["vision_layers"] = list(range(start, start + len(part)))
            places.append(f"{encoder_name} layers {start}-{start + len(part) - 1} of {depth}")
            for number, layer in enumerate(part, start):
                for name, pair in layer.items():
                    down, up = pair["w_lora_A"], pair["w_lora_B"]  # (r, d_in), (d_out, r)
                    if not len(down) == up.shape[1] == metadata["r"]:
                        raise Incompatible(f"its matrices are not of the rank {metadata['r']} that it names")
                    key = f"{encoder_name}_{number}_{OFFICIAL_ROLES[name]}"
                    tensors[f"lora.down.{key}"], tensors[f"lora.up.{key}"] = down, up
        settings |= {
            "encoder": encoder,
            "position": position,
            "roles": [role for name, role in OFFICIAL_ROLES.items() if name in layers[0]],
            "rank": metadata["r"],
            "alpha": float(metadata["alpha"]),
        }
        return Official(settings, tensors, f"assumed from numbers and widths of layers: {', '.join(places)}")

    @classmethod
    def as_peft(cls, config: Any, tensors: Mapping[str, torch.Tensor], *, siglip: bool = False) -> dict[str, Any]:
        keys = [name.removeprefix("lora.up.") for name in tensors if name.startswith("lora.up.")]
        changes = {key: Change(tensors[f"lora.down.{key}"], tensors[f"lora.up.{key}"], config.alpha) for key in keys}
        return write_adapter(Adapter(changes, config.rank, config.alpha, rslora=True), siglip=siglip)

    @property
    def needs_pixels(self) -> bool:
        return self.config.encoder != "text"

    def build(self) -> None:
        config = self.config
        self.sites: list[Projection] = [site for name in _towers(config) for site in self._chosen(name)]
        self.lora = LowRank(self.sites, config.rank, config.alpha, config.dropout)

    def _chosen(self, name: TowerName) -> list[Projection]:
        layers = _layers(self.config, name, len(tower(self.backbone, name).blocks))
        sites = projections(self.backbone, name)
        return [site for site in sites if site.layer in layers and site.role in self.config.roles]

    def class_features(self) -> torch.Tensor:
        if self.config.encoder == "vision":
            return super().class_features()

        def encode(ids: torch.Tensor, eot: torch.Tensor) -> torch.Tensor:
            with self.lora.within(self.backbone, "text"):
                return self.backbone.encode_ids(ids, eot)

        return self.template_features(encode)

    def image_features(self, batch: Batch) -> torch.Tensor:
        with self.lora.within(self.backbone, "vision"):
            return super().image_features(batch)


class ClipLoraText(ClipLora):
    """CLIP-LoRA in the text tower only, for backbones whose image towers differ."""

    info = replace(
        ClipLora.info,
        name="clip-lora-text",
        title="CLIP-LoRA, text",
        summary="low-rank updates of attention projections in the text tower",
        parameters="2 * rank * len(roles) * L_t * d_t",
        tunes=("text",),
        aliases=(),
    )

    class Config(ClipLora.Config):
        """CLIP-LoRA's, with its flag ``--encoder text``."""

        encoder: Literal["both", "text", "vision"] = "text"

    presets = {"small": {**ClipLora.presets["small"], "lr": 0.01}}


class ClipLoraVision(ClipLora):
    """CLIP-LoRA in the image tower only."""

    info = replace(
        ClipLora.info,
        name="clip-lora-vision",
        title="CLIP-LoRA, vision",
        summary="low-rank updates of attention projections in the image tower",
        parameters="2 * rank * len(roles) * L_v * d_v",
        tunes=("vision",),
        aliases=(),
    )

    class Config(ClipLora.Config):
        """CLIP-LoRA's, with its flag ``--encoder vision``."""

        encoder: Literal["both", "text", "vision"] = "vision"


def _layers(config: Any, name: TowerName, depth: int) -> Sequence[int]:
    """The layers of a tower of some depth that are changed."""
    if name == "vision" and config.vision_layers is not None:
        return config.vision_layers  # type: ignore[no-any-return]
    first, last = (round(share * depth) for share in POSITIONS[config.position])
    return range(first, last)


def _towers(config: Any) -> tuple[TowerName, ...]:
    return ("text", "vision") if config.encoder == "both" else (config.encoder,)
