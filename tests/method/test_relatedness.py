"""Relatedness of two backbones, on made-up vectors whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchmark.method import relatedness as module
from benchmark.method.relatedness import relatedness

DRAWN = torch.Generator().manual_seed(3)
WORDS = torch.randn(600, 24, generator=DRAWN)


def rotation(rows: int, columns: int) -> torch.Tensor:
    """A matrix with orthonormal rows or columns."""
    return torch.linalg.qr(torch.randn(max(rows, columns), max(rows, columns), generator=DRAWN))[0][:rows, :columns]


@pytest.fixture
def between(monkeypatch):
    """Relatedness of two sets of vectors."""

    def compute(old: torch.Tensor, new: torch.Tensor) -> float:
        monkeypatch.setattr(module, "word_vectors", lambda *_: (old, new))
        return relatedness(None, None)

    return compute


@pytest.mark.parametrize("width", [24, 40])
def test_a_rotated_and_shifted_space_is_the_same(between, width):
    assert between(WORDS, WORDS @ rotation(24, width) * 3 + 7) == pytest.approx(1, abs=1e-5)


def test_unrelated_spaces_are_near_zero(between):
    """Although a map that is fitted on all words finds some agreement: 400 words in 24 dimensions."""
    other = torch.randn(600, 24, generator=DRAWN)
    assert abs(between(WORDS, other)) < 0.1
    fitted = torch.linalg.svdvals((WORDS - WORDS.mean(0)).T @ (other - other.mean(0))).sum()
    assert fitted / ((WORDS - WORDS.mean(0)).norm() * (other - other.mean(0)).norm()) > 0.1


def test_noise_lowers_it_as_it_should(between):
    """The cosine of x and x + e, for independent Gaussian e of the same size, is about 1 / sqrt 2."""
    noisy = WORDS @ rotation(24, 24) + torch.randn(600, 24, generator=DRAWN)
    assert between(WORDS, noisy) == pytest.approx(1 / math.sqrt(2), abs=0.05)


def test_it_is_that_of_plain_numpy(between):
    old, new = WORDS.numpy().astype(float), torch.randn(600, 30, generator=DRAWN).numpy().astype(float)
    new[:, :24] += old
    kept = np.array([row for row in range(600) if row % 3 != 2])
    held_out = np.array([row for row in range(600) if row % 3 == 2])
    a, b = old - old[kept].mean(0), new - new[kept].mean(0)
    u, _, vh = np.linalg.svd(a[kept].T @ b[kept], full_matrices=False)
    mapped = a[held_out] @ u @ vh
    cosines = (mapped * b[held_out]).sum(1) / np.linalg.norm(mapped, axis=1) / np.linalg.norm(b[held_out], axis=1)
    assert between(torch.tensor(old).float(), torch.tensor(new).float()) == pytest.approx(cosines.mean(), abs=1e-4)


@pytest.mark.parametrize("space", ["tokens", "features"])
def test_a_few_words_say_nothing(space, backbones, monkeypatch):
    monkeypatch.setattr("benchmark.method.space_maps.FEWEST", 10_000)
    with pytest.raises(ValueError, match="too few to fit a map on"):
        relatedness(backbones["native"], backbones["eva"], space)


def test_a_backbone_is_related_to_itself(backbones):
    for space in ("tokens", "features"):
        assert relatedness(backbones["native"], backbones["native"], space) == pytest.approx(1, abs=1e-4)
