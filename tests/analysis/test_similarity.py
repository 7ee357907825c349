"""How alike features and parameters are: against what must hold, sums written out in full, and figures by hand."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from benchmark.analysis.similarity import cosine, linear_cka, relative_change


def gaussian(items: int, width: int, seed: int) -> torch.Tensor:
    return torch.randn(items, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(width: int, seed: int) -> torch.Tensor:
    return torch.linalg.qr(gaussian(width, width, seed))[0]


def biased_cka(one: torch.Tensor, other: torch.Tensor) -> float:
    """The usual estimate (Kornblith et al. 2019, equation 4 with the plain HSIC): |Y^T X|^2 / (|X^T X| |Y^T Y|)."""
    x, y = one - one.mean(0), other - other.mean(0)
    return float((y.T @ x).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm()))


# --- centred kernel alignment --------------------------------------------------------------------------------------


@pytest.mark.parametrize("items", [5, 40])
def test_cka_is_1_for_what_is_the_same_but_for_rotation_scale_and_place(items):
    x = gaussian(items, 16, 1)
    turned = x @ rotation(16, 2)
    assert not torch.allclose(x, turned)
    for other in (x, turned, 7.5 * x, -x, x + 100 * gaussian(1, 16, 3), torch.cat([x, torch.zeros(items, 4)], 1)):
        assert linear_cka(x, other) == pytest.approx(1.0, abs=1e-9)


def test_cka_falls_as_noise_grows():
    x, noise = gaussian(60, 8, 1), gaussian(60, 8, 2)
    found = [linear_cka(x, x + share * noise) for share in (0.0, 0.5, 1.0, 3.0)]
    assert found == sorted(found, reverse=True)
    assert found[1] < 0.95
    assert found[2] == pytest.approx(0.5, abs=0.15), "signal and noise of the same size, in large samples one half"


def test_cka_sees_more_than_the_axes_of_single_features():
    """Scaling one feature by itself is no rotation and must be seen."""
    x = gaussian(50, 4, 1)
    assert linear_cka(x, x * torch.tensor([30.0, 1.0, 1.0, 1.0])) < 0.9


@pytest.mark.parametrize(("items", "width"), [(10, 64), (20, 20), (100, 32)])
def test_unrelated_features_have_no_likeness_on_average(items, width):
    """Even where there are fewer items than dimensions, where the usual estimate finds much."""
    pairs = [(gaussian(items, width, seed), gaussian(items, width, 1000 + seed)) for seed in range(200)]
    found = torch.tensor([linear_cka(*pair) for pair in pairs])
    error = float(found.std()) / math.sqrt(len(found))
    assert abs(float(found.mean())) < 4 * error
    assert error < 0.02, "or the line above would say nothing"
    assert float(torch.tensor([biased_cka(*pair) for pair in pairs[:50]]).mean()) > (0.8 if items < width else 0.2)


def written_out(one: torch.Tensor, other: torch.Tensor) -> float:
    """HSIC without bias as Song et al. 2012 define it, a mean over all ordered tuples of distinct items: of K_ij L_ij, plus
    K_ij L_qr, less 2 K_ij L_iq (their equation 5 is the same sum put together)."""
    k, m = (one @ one.T).tolist(), (other @ other.T).tolist()
    n = len(one)
    pairs = [k[i][j] * m[i][j] for i, j in itertools.permutations(range(n), 2)]
    triples = [k[i][j] * m[i][q] for i, j, q in itertools.permutations(range(n), 3)]
    fours = [k[i][j] * m[q][r] for i, j, q, r in itertools.permutations(range(n), 4)]
    return math.fsum(pairs) / len(pairs) + math.fsum(fours) / len(fours) - 2 * math.fsum(triples) / len(triples)


@pytest.mark.parametrize("items", [4, 5, 7])
@pytest.mark.parametrize("seed", [1, 2])
def test_cka_is_the_mean_over_all_tuples_of_distinct_items(items, seed):
    """Written out without centring: the estimate must not depend on it."""
    x, y = gaussian(items, 6, seed), gaussian(items, 3, 10 + seed) + 0.8 * gaussian(items, 6, seed)[:, :3] + 2.0
    own, others = written_out(x, x), written_out(y, y)
    assert own > 0
    assert others > 0
    assert linear_cka(x, y) == pytest.approx(written_out(x, y) / math.sqrt(own * others), rel=1e-8)


def test_cka_is_symmetric():
    x, y = gaussian(12, 5, 1), gaussian(12, 9, 2)
    assert linear_cka(x, y) == pytest.approx(linear_cka(y, x), abs=1e-12)


def test_cka_does_not_lose_digits_to_single_precision():
    """Features far from the origin, as those of a tower are: all in a narrow cone."""
    x, y = gaussian(30, 8, 1), gaussian(30, 8, 1) @ rotation(8, 2)
    assert linear_cka((x + 50).float(), (y - 50).float()) == pytest.approx(1.0, abs=1e-6)


def test_cka_is_not_known_for_few_items_or_features_that_do_not_vary():
    for items in (0, 1, 2, 3):
        assert math.isnan(linear_cka(gaussian(items, 4, 1), gaussian(items, 4, 1)))
    same = torch.ones(10, 4)
    assert math.isnan(linear_cka(same, gaussian(10, 4, 1)))
    assert math.isnan(linear_cka(gaussian(10, 4, 1), same))
    with pytest.raises(ValueError, match="5 items"):
        linear_cka(gaussian(5, 4, 1), gaussian(6, 4, 1))


# --- cosine --------------------------------------------------------------------------------------------------------


def test_cosine_by_hand():
    """Three items at 0, 60 and 180 degrees, lengths aside: (1 + 1/2 - 1) / 3."""
    one = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    other = torch.tensor([[5.0, 0.0], [0.5, math.sqrt(0.75)], [0.0, -1.0]])
    assert cosine(one, other) == pytest.approx(1 / 6)
    assert cosine(one, one) == pytest.approx(1.0)
    assert cosine(one, -one) == pytest.approx(-1.0)


def test_cosine_is_not_known_between_widths():
    assert math.isnan(cosine(torch.ones(3, 4), torch.ones(3, 5)))


# --- change of parameters ------------------------------------------------------------------------------------------


def test_relative_change_by_hand():
    """|W| = sqrt(9 + 16 + 144) = 13, moved by 3 in one tensor and 4 in the other: 5 / 13."""
    old = {"a": torch.tensor([3.0, 4.0]), "b": torch.tensor([[12.0]])}
    new = {"b": torch.tensor([[8.0]]), "a": torch.tensor([3.0, 7.0])}
    assert relative_change(old, new) == pytest.approx(5 / 13)
    assert relative_change(old, old) == 0
    assert relative_change(old, {name: 2 * value for name, value in old.items()}) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "new",
    [
        {"a": torch.ones(3), "b": torch.ones(1)},
        {"a": torch.ones(2)},
        {"a": torch.ones(2), "c": torch.ones(1)},
        {"a": torch.ones(2), "b": torch.ones(1), "c": torch.ones(1)},
        {},
    ],
)
def test_relative_change_is_not_known_where_names_or_shapes_differ(new):
    assert math.isnan(relative_change({"a": torch.ones(2), "b": torch.ones(1)}, new))


def test_relative_change_of_nothing_is_not_known():
    assert math.isnan(relative_change({}, {}))
    assert math.isnan(relative_change({"a": torch.zeros(2)}, {"a": torch.ones(2)}))
