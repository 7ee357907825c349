"""Carries low-rank changes of attention through maps between what flows through the two towers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional as F

from benchmark.analysis.repair_base import Case, Repair, Repaired
from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers import TowerName, tower
from benchmark.backbones.towers.attention import Projection, adding, linear_of, projections
from benchmark.method.lora import LowRank
from benchmark.method.relatedness import agreement
from benchmark.method.space_maps import procrustes, shared_words
from benchmark.method.terms import Incompatible
from benchmark.training.modules import Module, attach

SENTENCES = 1024
"""Words whose sentences go through both text towers."""
IMAGES = 32
"""Training images that go through both image towers, as in the source."""


class Transport(Repair):
    """B' = T_out^T B and A' = A T_in for every projection B A: T_in and T_out are orthogonal maps of its inputs and outputs
    in the old tower to those of the same layer in the new one, for the same tokens of sentences (end-of-text alone where
    the tokenizers differ) or of training images without labels. Widths may differ, numbers of layers may not.

    Source: Theseus (2026, arXiv 2602.12952), whose code transports full task vectors so; the factor is 1 instead of the best
    one on labelled images.
    """

    name, title, effort = "transport", "transport through activations", 25

    def incompatibility(self, module: Module) -> str | None:
        return _without_low_rank(module)

    def apply(self, case: Case) -> Repaired:
        sites = _sites(case)
        tensors, agreements = {}, []
        for name in sorted({site.tower for site in sites}):
            for site, before, after in _flows(case, name, [site for site in sites if site.tower == name]):
                into, out = (procrustes(old, new) for old, new in zip(before, after, strict=True))
                agreements.append(agreement(before[1], after[1]))
                tensors[f"lora.up.{site.key}"] = out.T @ case.module.tensors[f"lora.up.{site.key}"]
                tensors[f"lora.down.{site.key}"] = case.module.tensors[f"lora.down.{site.key}"] @ into
        return self.finish(case, tensors, max(0.0, sum(agreements) / len(agreements)))

    def finish(self, case: Case, tensors: dict[str, torch.Tensor], agreement: float) -> Repaired:
        """The repaired module; ``agreement`` is the mean cosine of mapped and true outputs of held-out tokens."""
        images = min(IMAGES, len(case.task.train)) if any("vision" in name for name in tensors) else 0
        return case.with_tensors(tensors, images=images, notes={"agreement": agreement})


class TransportScaled(Transport):
    """The changes are multiplied by how well the maps serve tokens that they were not fitted on. Ours."""

    name, title, effort = "transport-scaled", "transport, scaled by agreement", 26

    def finish(self, case: Case, tensors: dict[str, torch.Tensor], agreement: float) -> Repaired:
        scaled = {name: value * agreement if ".up." in name else value for name, value in tensors.items()}
        return super().finish(case, scaled, agreement)


class Subspace(Repair):
    """B' = U U^T B and A' = A V V^T, U and V the leading singular vectors of the new weight: what of a change lies where the
    new weight is strong. Without data; it assumes that both towers have the same coordinates.

    Source: LoRA-X (ICLR 2025, arXiv 2501.16559), from its abstract and secondary accounts; five twelfths of the singular
    vectors are kept, as 320 of 768 are said to be.
    """

    name, title, effort = "subspace", "projection on the new weights", 6

    def incompatibility(self, module: Module) -> str | None:
        return _without_low_rank(module)

    def apply(self, case: Case) -> Repaired:
        tensors = dict(case.module.tensors)
        there = {site.key: site for name in ("text", "vision") for site in projections(case.new, name)}  # type: ignore[arg-type]
        for site in _sites(case):
            if there.get(site.key) is None or (there[site.key].d_in, there[site.key].d_out) != (site.d_in, site.d_out):
                raise Incompatible(f"{site.key} has another size on {case.new.name}")
            u, _, vh = torch.linalg.svd(linear_of(case.new, site)[0].detach().float().cpu(), full_matrices=False)
            kept = max(1, len(vh) * 5 // 12)
            up, down = f"lora.up.{site.key}", f"lora.down.{site.key}"
            tensors[up] = u[:, :kept] @ (u[:, :kept].T @ tensors[up])
            tensors[down] = tensors[down] @ vh[:kept].T @ vh[:kept]
        return case.with_tensors(tensors)


def _without_low_rank(module: Module) -> str | None:
    """Why there is nothing to carry; None if there is."""
    return None if any(".up." in name for name in module.tensors) else "it has no low-rank changes"


def _sites(case: Case) -> list[Projection]:
    """Where the module changes the old towers.

    Raises:
        Incompatible: that is not known.
    """
    module = case.module
    method = attach(module.cls, module.config, case.old, case.task.class_list(), module.tensors)
    sites = [site for part in method.modules() if isinstance(part, LowRank) for site in part.sites]
    if not sites:
        raise Incompatible("its low-rank changes are not those of attention projections alone")
    return sites


Flow = tuple[torch.Tensor, torch.Tensor]
"""Inputs (N, d_in) and outputs (N, d_out) of a projection."""


def _flows(case: Case, name: TowerName, sites: list[Projection]) -> Iterator[tuple[Projection, Flow, Flow]]:
    """What flows through each projection of the old and of the new tower.

    Raises:
        Incompatible: the new tower does not have such a projection, or its tokens are others.
    """
    there = {site.key: site for site in projections(case.new, name)}
    if len(tower(case.old, name).blocks) != len(tower(case.new, name).blocks) or any(s.key not in there for s in sites):
        raise Incompatible(f"the {name} towers have other numbers of layers")
    seen = _texts if name == "text" else _images
    before, after = seen(case, case.old, sites), seen(case, case.new, [there[site.key] for site in sites])
    for site in sites:
        old, new = before[site.key], after[site.key]
        if name == "vision" and old.shape[1] != new.shape[1]:
            new = _resized(new, old.shape[1], tower(case.new, name).first_token)
        flows = []
        for backbone, where, inputs in ((case.old, site, old), (case.new, there[site.key], new)):
            weight, bias = linear_of(backbone, where)
            rows = inputs.flatten(0, 1)
            flows.append(
                (rows, F.linear(rows, weight.detach().float().cpu(), None if bias is None else bias.detach().cpu()))
            )
        yield site, flows[0], flows[1]


def _texts(case: Case, backbone: Backbone, sites: list[Projection]) -> dict[str, torch.Tensor]:
    words = shared_words(case.old, case.new)
    if not words:
        raise Incompatible("the two tokenizers share no words")
    some = words[:: -(-len(words) // SENTENCES)]
    names = [*case.task.class_list().readable, *some]
    sentences = [case.task.template.format(name) for name in names]
    tokens, *both = (on.tokenize(sentences) for on in (backbone, case.old, case.new))
    found = _recorded(backbone, sites, lambda: backbone.encode_tokens(tokens))
    if torch.equal(both[0].ids, both[1].ids):
        shortest = int(tokens.eot.min()) + 1  # positions that every sentence has
        return {key: value[:, :shortest] for key, value in found.items()}
    rows, ends = torch.arange(len(names)), tokens.eot.cpu()  # other tokens mean something else: only the last is the same
    return {key: value[rows, ends][:, None] for key, value in found.items()}


def _images(case: Case, backbone: Backbone, sites: list[Projection]) -> dict[str, torch.Tensor]:
    examples = case.training_images.examples
    few = examples.pick(range(0, len(examples), -(-len(examples) // IMAGES)))
    pixels = case.features.testing(backbone, few, pixels=True).all().pixels
    assert pixels is not None
    return _recorded(backbone, sites, lambda: backbone.encode_image(pixels))


@torch.no_grad()
def _recorded(backbone: Backbone, sites: list[Projection], run) -> dict[str, torch.Tensor]:  # type: ignore[no-untyped-def]
    """Inputs (B, n, d_in) of projections, by key."""
    found: dict[str, torch.Tensor] = {}

    def recorder(site: Projection):  # type: ignore[no-untyped-def]
        def record(x: torch.Tensor) -> torch.Tensor:
            found[site.key] = x.float().cpu()
            return torch.zeros(site.d_out, device=x.device, dtype=x.dtype)

        return record

    with adding(backbone, {site: recorder(site) for site in sites}):
        run()
    return found


def _resized(tokens: torch.Tensor, count: int, first: int) -> torch.Tensor:
    """Tokens (B, n, d) of a square grid after ``first`` others, on a grid that makes ``count`` of them."""
    side, wanted = round((tokens.shape[1] - first) ** 0.5), round((count - first) ** 0.5)
    if side * side + first != tokens.shape[1] or wanted * wanted + first != count:
        raise Incompatible("the image towers' tokens are no square grids")
    grid = tokens[:, first:].transpose(1, 2).unflatten(2, (side, side))
    resized = F.interpolate(grid, size=(wanted, wanted), mode="bilinear", align_corners=False)
    return torch.cat([tokens[:, :first], resized.flatten(2).transpose(1, 2)], dim=1)
