"""Checks of what users give, each mistake in one line with its place and the fix."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from benchmark.config.errors import UserError

SHORT = reprlib.Repr()
"""Shows a value without building its whole text, which a few nested YAML aliases make endless."""
SHORT.maxlevel, SHORT.maxstring, SHORT.maxother = 2, 80, 80
M = TypeVar("M", bound=BaseModel)


def check(model: type[M], content: Mapping[str, Any], *, where: str, fix: str = "") -> M:
    """Validate ``content``; the first problem becomes one line with its key path and a fix, which is ``fix`` if given."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = error.errors()
        # A misspelt key also leaves the right one missing: report the former.
        problem = next((item for item in problems if item["type"] == "extra_forbidden"), problems[0])
        raise UserError(_say(problem), where=f"{where}: {_path(problem['loc'])}", fix=fix or _fix(problem, model)) from None


def _path(location: Sequence[int | str]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "(top level)"


def _say(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return f"unknown key {problem['loc'][-1]!r}"
    if problem["type"] == "missing":
        return f"key {problem['loc'][-1]!r} is missing"
    if problem["type"] == "too_short":
        return "the text is empty" if isinstance(problem["input"], str) else "the list is empty"
    return str(problem["msg"]).removeprefix("Value error, ")


def _fix(problem: Any, model: type[BaseModel]) -> str:
    if problem["type"] == "extra_forbidden":
        known = sorted({name for part in _models(model) for name in part.model_fields})
        close = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        return f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
    if problem["type"] == "missing":
        return f"add {problem['loc'][-1]!r}"
    if problem["type"] == "too_short":
        return "fill it in" if isinstance(problem["input"], str) else "name at least one"
    if problem["type"] == "string_type" and isinstance(problem["input"], bool):
        return "put it in quotes: YAML reads yes, no, on and off as true and false"
    return f"you gave {SHORT.repr(problem['input'])}"


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and those that its fields hold."""
    yield model
    for info in model.model_fields.values():
        yield from (inner for kind in _plain_types(info.annotation) for inner in _models(kind))


def _plain_types(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _plain_types(argument)
