"""The exception that a user's mistake raises: what is wrong, where, and how to fix it, in one line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence


class UserError(Exception):
    """A mistake in what the user gave (YAML, options, files). The command line prints it as one line and exits with 2."""

    exit_code = 2

    def __init__(self, message: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.message, self.where, self.fix = message, where, fix
        text = f"{where}: {message}" if where else message
        super().__init__(" ".join((f"{text} (fix: {fix})" if fix else text).split()))  # one line, whatever the input had


def did_you_mean(name: str, known: Mapping[str, object] | Sequence[str]) -> str:
    """A fix for an unknown name: the closest known one, or all of them."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known)) or 'none'}"
