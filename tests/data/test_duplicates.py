"""Near-duplicate search, checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.data.duplicates import fingerprints, merge


def test_merging_is_transitive():
    assert merge(["a", "b", "c", "a", "d"], iter([(1, 2), (2, 3)])) == [0, 0, 0, 0, 1]
    assert merge([1, 2, 3], iter([])) == [0, 1, 2]


def test_similarity_by_hand():
    """Centred cosine of pictures halved in size: 1 with itself and with a brighter copy, -1 with its negative."""
    one = np.random.default_rng(0).integers(20, 100, (1, 32, 32)).astype(np.uint8)
    prints = fingerprints(np.concatenate([one, one * 2, 255 - one, np.zeros_like(one)]))
    assert prints.shape == (4, 256)
    assert (prints @ prints[0]).tolist() == pytest.approx([1, 1, -1, 0], abs=1e-4)
