"""Small vision towers of the icon-world releases, registered with timm so that an open_clip config can name them.

``pico_stem_vit``: a ViT whose patch embedding is three strided convolutions (Xiao et al. 2021, "Early Convolutions Help
Transformers See Better"). ``pico_eva``: the same stem before EVA-02 blocks (rotary positions, SwiGLU, inner norms,
separate q/k/v projections), the block of EVA02-CLIP.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.models import register_model
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import nn

IMAGE_SIZE = 32
GRID = 4


class ConvStem(nn.Module):
    """Three stride-2 convolutions: (B, 3, 32, 32) to 16 tokens (B, 16, dim); timm's other options are ignored."""

    def __init__(self, embed_dim: int, **_: Any) -> None:
        super().__init__()
        self.img_size, self.patch_size = (IMAGE_SIZE, IMAGE_SIZE), (8, 8)
        self.grid_size, self.num_patches = (GRID, GRID), GRID * GRID
        layers: list[nn.Module] = []
        for inside, outside in ((3, 24), (24, 48)):
            layers += [nn.Conv2d(inside, outside, 3, 2, 1, bias=False), nn.GroupNorm(4, outside), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.Conv2d(48, embed_dim, 3, 2, 1))

    def feat_ratio(self, as_scalar: bool = True) -> int | tuple[int, int]:
        return 8 if as_scalar else (8, 8)

    def dynamic_feat_size(self, img_size: tuple[int, int]) -> tuple[int, int]:
        return img_size[0] // 8, img_size[1] // 8

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.net(x)
        return x.flatten(2).transpose(1, 2)


def _widen(model: nn.Module, width: int) -> None:
    """Initial values by fan-in: timm's standard deviation of 0.02 suits towers of 768 units and stalls narrow ones."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.reset_parameters()
    for name in ("cls_token", "pos_embed"):
        nn.init.normal_(getattr(model, name), std=width**-0.5)


def _own(options: dict[str, Any]) -> dict[str, Any]:
    """The options that a tower takes; those that timm's factory adds are ignored."""
    return {name: value for name, value in options.items() if name in ("num_classes", "global_pool", "drop_path_rate")}


@register_model
def pico_stem_vit(pretrained: bool = False, **options: Any) -> VisionTransformer:
    """4 blocks of width 128, 4 heads, 1 + 16 tokens."""
    if pretrained:
        raise RuntimeError("pico_stem_vit has no ImageNet weights")
    shape: dict[str, Any] = {"img_size": IMAGE_SIZE, "patch_size": 8, "embed_dim": 128, "depth": 4, "num_heads": 4}
    model = VisionTransformer(**shape, embed_layer=ConvStem, **_own(options))
    _widen(model, 128)
    return model


@register_model
def pico_eva(pretrained: bool = False, **options: Any) -> Eva:
    """4 EVA-02 blocks of width 128, 4 heads, 1 + 16 tokens."""
    if pretrained:
        raise RuntimeError("pico_eva has no ImageNet weights")
    model = Eva(
        img_size=IMAGE_SIZE,
        patch_size=8,
        embed_dim=128,
        depth=4,
        num_heads=4,
        mlp_ratio=8 / 3,
        qkv_fused=False,
        swiglu_mlp=True,
        scale_mlp=True,
        scale_attn_inner=True,
        use_rot_pos_emb=True,
        ref_feat_shape=(GRID, GRID),
        **_own(options),
    )
    model.patch_embed = ConvStem(128)  # type: ignore[assignment]
    _widen(model, 128)
    return model
