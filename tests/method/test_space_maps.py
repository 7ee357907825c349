"""Maps between the spaces of two backbones, and what they do to modules."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import Ridge as SkRidge
from sklearn.linear_model import RidgeCV
from torch.nn import functional as F

from benchmark.backbones.clip import Backbone
from benchmark.config.schema import BackboneSpec
from benchmark.method import registry
from benchmark.method.space_maps import PENALTIES, SpaceMaps, procrustes, ridge, shared_words, token_vectors, whole_words
from benchmark.method.terms import axes_of
from benchmark.training.checks.contract import Subject

METHODS = registry.methods()


CARRIED = sorted(name for name, plugin in METHODS.plugins.items() if plugin.cls.spaces)


def rotation(width: int, seed: int = 0) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(seed)))[0]


def test_token_vectors_are_those_of_the_tokenizer():
    """Each whole word is one token, and another one for every word: a word that came twice, as "A" does if "A" is read as
    "a", would be held out and fitted on at once, and relatedness would come out too high."""
    bundled = Backbone.load("v5", BackboneSpec(model="bundled:v5"))
    words = sorted(whole_words(bundled))
    assert len(words) > 500
    tokens = bundled.tokenize(words)
    assert (tokens.end == tokens.start + 1).all()
    first = tokens.ids[:, tokens.start]
    assert len(first.unique()) == len(words)
    assert torch.equal(token_vectors(bundled, words), bundled.embed(first))


def test_procrustes_recovers_a_rotation():
    old, turn = torch.randn(50, 8, generator=torch.Generator().manual_seed(1)), rotation(8)
    assert torch.allclose(procrustes(old, old @ turn), turn, atol=1e-4)


@pytest.mark.parametrize(("a", "b"), [(6, 9), (9, 6)])
def test_procrustes_between_widths_keeps_what_it_can(a, b):
    rng = torch.Generator().manual_seed(2)
    found = procrustes(torch.randn(50, a, generator=rng), torch.randn(50, b, generator=rng))
    assert found.shape == (a, b)
    smaller = found @ found.T if a < b else found.T @ found
    assert torch.allclose(smaller, torch.eye(min(a, b)), atol=1e-5)


def test_procrustes_is_the_best_of_many_rotations():
    rng = torch.Generator().manual_seed(3)
    old, new = torch.randn(30, 4, generator=rng), torch.randn(30, 4, generator=rng)
    best = float((old @ procrustes(old, new) - new).norm())
    assert all(best <= float((old @ rotation(4, seed) - new).norm()) + 1e-5 for seed in range(50))


def test_a_backbone_maps_to_itself_by_nothing(bench):
    backbone = bench.backbones["native"]
    assert len(shared_words(backbone, backbone)) > 32
    maps = SpaceMaps(backbone, backbone, "a photo of a {}.")
    for space, width in (("tokens", backbone.text_width), ("features", backbone.embed_dim)):
        assert torch.allclose(maps.of(space), torch.eye(width), atol=1e-3), space


@pytest.mark.parametrize("name", CARRIED)
def test_declared_spaces_are_those_of_what_is_learnt(name, bench):
    """Each pattern names a learnt tensor, with one space an axis, as wide as that space."""
    method = Subject(METHODS[name].cls, bench).build("narrow")
    widths = {"tokens": method.backbone.text_width, "features": method.backbone.embed_dim}
    assert widths["tokens"] != widths["features"]
    tensors = method.tensors()
    for tensor, value in tensors.items():
        axes = axes_of(tensor, method.spaces)
        assert axes is not None, tensor
        assert len(axes) == value.ndim, tensor
        for space, width in zip(axes, value.shape, strict=True):
            assert not space or width == widths[space], (tensor, space)


@pytest.mark.parametrize("name", CARRIED)
def test_an_identity_carries_a_module_unchanged(name, bench):
    method = Subject(METHODS[name].cls, bench).trained("native")
    carried = SpaceMaps(method.backbone, method.backbone, "a photo of a {}.").carry(method.tensors(), method.spaces)
    for tensor, value in method.tensors().items():
        assert torch.allclose(carried[tensor], value, atol=1e-3 * max(1.0, float(value.abs().max()))), tensor


def turned(bench, space: str) -> tuple[SpaceMaps, torch.Tensor]:
    """Maps whose space is rotated, and the rotation."""
    backbone = bench.backbones["native"]
    maps, width = SpaceMaps(backbone, backbone, "{}"), {"tokens": backbone.text_width, "features": backbone.embed_dim}[space]
    other = "features" if space == "tokens" else "tokens"
    maps._fitted = {space: rotation(width), other: torch.eye(backbone.text_width + backbone.embed_dim - width)}
    return maps, maps._fitted[space]


def test_a_matrix_reads_turned_features_as_before(bench):
    method = Subject(METHODS["clip-adapter"].cls, bench).trained("native")
    maps, turn = turned(bench, "features")
    carried = maps.carry(method.tensors(), method.spaces)
    x = torch.randn(5, method.backbone.embed_dim)
    before = x @ method.tensors()["adapter.0.weight"].T
    assert torch.allclose((x @ turn) @ carried["adapter.0.weight"].T, before, atol=1e-4)
    hidden = torch.randn(5, before.shape[1])  # and what it writes is turned
    after = hidden @ carried["adapter.2.weight"].T
    assert torch.allclose(after, hidden @ method.tensors()["adapter.2.weight"].T @ turn, atol=1e-4)


def test_an_attention_over_turned_names_gives_turned_contexts(bench):
    method = Subject(METHODS["contcoop"].cls, bench).trained("native")
    with torch.no_grad():
        method.out.weight.normal_()  # so that it says something
        before = method.class_context()
        maps, turn = turned(bench, "tokens")
        carried = maps.carry(method.tensors(), method.spaces)
        method.names = method.names @ turn
        method.load(carried)
        assert torch.allclose(method.class_context(), before @ turn, atol=1e-3)


def test_a_conditional_context_follows_its_image(bench):
    method = Subject(METHODS["cocoop"].cls, bench).trained("native")
    features = F.normalize(torch.randn(3, method.backbone.embed_dim), dim=-1)
    with torch.no_grad():
        before = method.meta_net(features)
        for space in ("features", "tokens"):
            own = method.tensors()
            maps, turn = turned(bench, space)
            method.load(maps.carry(own, method.spaces))
            after = method.meta_net(features @ turn) if space == "features" else method.meta_net(features)
            assert torch.allclose(after, before if space == "features" else before @ turn, atol=1e-4)
            method.load(own)


def test_what_has_no_space_is_not_carried(bench):
    maps, _ = turned(bench, "tokens")
    with pytest.raises(ValueError, match=r"lora\.up lives in no space"):
        maps.carry({"lora.up": torch.ones(2, 2)}, {"context": ("", "tokens")})


# --- ridge ---------------------------------------------------------------------------------------------------------


def pairs(items: int, a: int, b: int, noise: float, seed: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Items in two spaces that a linear map connects, but for noise; in 64 bits."""
    rng = torch.Generator().manual_seed(seed)
    old, map_ = (torch.randn(*shape, generator=rng, dtype=torch.float64) for shape in ((items, a), (a, b)))
    return old, old @ map_ + noise * torch.randn(items, b, generator=rng, dtype=torch.float64)


def closed_form(old: torch.Tensor, new: torch.Tensor, penalty: float) -> torch.Tensor:
    """(X^T X + p I)^-1 X^T Y."""
    return torch.linalg.solve(old.T @ old + penalty * torch.eye(old.shape[1], dtype=old.dtype), old.T @ new)


def cross_validation_error(old: torch.Tensor, new: torch.Tensor, penalty: float) -> float:
    """Generalised cross-validation written out with the hat matrix: |(I - A) Y|^2 / trace(I - A)^2."""
    hat = old @ closed_form(old, torch.eye(len(old), dtype=old.dtype), penalty)
    left = torch.eye(len(old), dtype=old.dtype) - hat
    return float((left @ new).square().sum() / left.trace() ** 2)


@pytest.mark.parametrize(("items", "a", "b"), [(40, 6, 4), (40, 4, 6), (12, 5, 5)])
@pytest.mark.parametrize("noise", [0.1, 3.0])
def test_ridge_is_the_closed_form_with_the_penalty_of_least_cross_validation_error(items, a, b, noise):
    old, new = pairs(items, a, b, noise)
    scale = float(torch.linalg.svdvals(old).square().mean())
    best = min((penalty * scale for penalty in PENALTIES), key=lambda penalty: cross_validation_error(old, new, penalty))
    found = ridge(old, new)
    assert found.shape == (a, b)
    assert torch.allclose(found, closed_form(old, new, best), atol=1e-8)
    if noise > 1:
        assert best > 1e-3 * scale, "with much noise something is gained by shrinking"


def test_ridge_is_that_of_scikit_learn():
    old, new = pairs(30, 4, 3, 0.5)
    scale = float(torch.linalg.svdvals(old).square().mean())
    alphas = [penalty * scale for penalty in PENALTIES]
    model = RidgeCV(alphas=alphas, fit_intercept=False).fit(old.numpy(), new.numpy())  # leave-one-out, not generalised
    fitted = {alpha: SkRidge(alpha=alpha, fit_intercept=False).fit(old.numpy(), new.numpy()).coef_.T for alpha in alphas}
    found = ridge(old, new).numpy()
    nearest = min(fitted, key=lambda alpha: abs(fitted[alpha] - found).max())
    assert found == pytest.approx(fitted[nearest], abs=1e-8)
    assert abs(alphas.index(nearest) - alphas.index(model.alpha_)) <= 1


def test_ridge_by_hand():
    """One dimension, x = (1, 2), y = (2, 4): w = x y / (x^2 + p) = 10 / (5 + p); without noise the least penalty wins."""
    old, new = torch.tensor([[1.0], [2.0]]), torch.tensor([[2.0], [4.0]])
    assert float(ridge(old, new)) == pytest.approx(10 / (5 + 5 * PENALTIES[0]))


def test_ridge_fits_better_than_procrustes_and_keeps_the_type():
    old, new = (x.float() for x in pairs(50, 6, 6, 0.1))
    errors = {fit.__name__: float((old @ fit(old, new) - new).norm()) for fit in (ridge, procrustes)}
    assert errors["ridge"] < 0.5 * errors["procrustes"]
    assert ridge(old, new).dtype == torch.float32
