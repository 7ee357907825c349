"""What a run needs and this machine lacks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Missing:
    """Something that a run needs and this machine lacks."""

    what: str
    """Such as "dataset 'dtd'"."""
    reason: str
    """What was looked for, and where."""
    how: str
    """How to get it."""
    size: str = ""
    """About how large it is, such as "0.6 GB"."""
    fetchable: bool = False
    """True if ``--prepare`` can fetch it."""
