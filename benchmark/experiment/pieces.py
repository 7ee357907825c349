"""Chunks cut into the tasks of a cluster: of like length, the longest first, and shared features before what needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from benchmark.experiment.executor import Chunk
from benchmark.experiment.plan import Job

Seconds = Callable[[Job], float]


def cut(jobs: Sequence[Job], seconds: Seconds, target: float) -> Iterator[Chunk]:
    """Jobs in pieces of at most ``target`` seconds, in their order; a job that is longer is a piece by itself."""
    piece, length = list[Job](), 0.0
    for job in jobs:
        own = seconds(job)
        if piece and length + own > target:
            yield tuple(piece)
            piece, length = [], 0.0
        piece.append(job)
        length += own
    if piece:
        yield tuple(piece)


def with_pilots(pieces: Sequence[Chunk], seconds: Seconds) -> tuple[list[Chunk], list[Chunk]]:
    """Pilots, and all else. Where several pieces share a backbone and a data set, their shortest job is a pilot: a piece by
    itself that encodes the test images, so that the others find their features if they come later."""
    groups: dict[tuple[str, str], list[Chunk]] = {}
    for piece in pieces:
        groups.setdefault((piece[0].train.backbone, piece[0].train.task.dataset), []).append(piece)
    pilots, rest = list[Chunk](), list[Chunk]()
    for group in groups.values():
        if len(group) == 1:
            rest += group
            continue
        pilot = min((job for piece in group for job in piece), key=seconds)
        pilots.append((pilot,))
        others = (tuple(job for job in piece if job is not pilot) for piece in group)
        rest += [piece for piece in others if piece]
    return pilots, rest


def longest_first(pieces: Sequence[Chunk], seconds: Seconds) -> list[Chunk]:
    """In the order in which they should be started: what is long must not come last."""
    return sorted(pieces, key=lambda piece: -sum(map(seconds, piece)))
