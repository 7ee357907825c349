"""Byte-pair merges learnt from our own captions, written as the file that open_clip's ``SimpleTokenizer`` reads."""

from __future__ import annotations

import gzip
import itertools
from collections import Counter
from pathlib import Path

SPECIALS = 2
BYTES = 256


def learn(counts: Counter[str], merges: int) -> list[tuple[str, str]]:
    """The ``merges`` most frequent merges, greedily; ties go to the pair that sorts first, so the result is fixed.

    ``counts`` maps lower-case ASCII words to their frequencies. Source: Sennrich et al. 2016, Algorithm 1.
    """
    spelled = {word: (*word[:-1], word[-1] + "</w>") for word in sorted(counts) if word.isascii() and word}
    learnt: list[tuple[str, str]] = []
    while len(learnt) < merges:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in spelled.items():
            for pair in itertools.pairwise(parts):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        learnt.append(best)
        spelled = {word: _apply(parts, best) for word, parts in spelled.items()}
    return learnt


def _apply(parts: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    if pair[0] not in parts:
        return parts
    out: list[str] = []
    i = 0
    while i < len(parts):
        if parts[i : i + 2] == pair:
            out.append(parts[i] + parts[i + 1])
            i += 2
        else:
            out.append(parts[i])
            i += 1
    return tuple(out)


def write(merges: list[tuple[str, str]], file: Path) -> int:
    """Write the merges gzipped (no trailing newline, fixed time stamp) and return the tokenizer's vocabulary size."""
    text = "\n".join(["#version: icon world", *(" ".join(pair) for pair in merges)])
    file.write_bytes(gzip.compress(text.encode(), mtime=0))
    return 2 * BYTES + len(merges) + SPECIALS
