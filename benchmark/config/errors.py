"""The exception that a user's mistake raises: what is wrong, where, and how to fix it, in one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

LONGEST = 2000
"""Characters of a message; a longer one is cut."""


def clean(message: object, longest: int = LONGEST) -> str:
    """A text on one line that any file and terminal takes: without control characters and lone surrogates, cut."""
    try:
        text = str(message)
    except Exception as error:  # a plugin's exception may fail at this too
        text = f"an error whose text cannot be made ({type(error).__name__})"
    text = text[: 4 * longest].encode("utf-8", "replace").decode("utf-8")
    text = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text).split())
    return text if len(text) <= longest else text[: longest - 3] + "..."


class UserError(Exception):
    """A mistake in what the user gave (YAML, options, files). The command line prints it as one line and exits with 2."""

    exit_code = 2

    def __init__(self, message: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.message, self.where, self.fix = message, where, fix
        text = f"{clean(where, LONGEST // 4)}: {message}" if where else message
        end = f" (fix: {clean(fix)})" if fix else ""
        super().__init__(clean(text, LONGEST) + end)


def did_you_mean(name: str, known: Mapping[str, object] | Sequence[str]) -> str:
    """A fix for an unknown name: the closest known one, or all of them."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known)) or 'none'}"
