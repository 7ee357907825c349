"""The one exception that a user's mistake raises: what is wrong, where, and how to mend it, in one line."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in what the user gave (YAML, options, files). The command line prints it as one line and exits with 2."""

    exit_code = 2

    def __init__(self, message: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.message, self.where, self.fix = message, where, fix
        text = f"{where}: {message}" if where else message
        super().__init__(" ".join((f"{text} (fix: {fix})" if fix else text).split()))  # one line, whatever the input had
