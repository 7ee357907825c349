"""List the methods, or describe one: what it learns, how it transfers, its settings and its citation."""

from __future__ import annotations

import argparse
import ast
import inspect
from typing import Any

from pydantic.fields import FieldInfo
from rich.console import Console
from rich.table import Table

from benchmark.cli.console import methods_table, progress_console
from benchmark.config.schema import Strict
from benchmark.method import registry
from benchmark.method.base import MethodConfig
from benchmark.method.registry import Plugin


def run(options: argparse.Namespace) -> int:
    """Print; returns the exit status."""
    plugins, console, out = registry.methods(tuple(options.plugins)), progress_console(), Console(highlight=False)
    for name, reason in plugins.broken.items():
        console.print(f"warning: method {name!r} is broken: {reason}", markup=False, soft_wrap=True)
    if options.name is None:
        out.print(methods_table(plugins))
    else:
        _show(plugins[options.name], out)
    return 0


def _show(plugin: Plugin[Any], out: Console) -> None:
    cls, info = plugin.cls, plugin.cls.info
    out.print(f"{info.title} ({info.name})", style="bold", markup=False)
    out.print(inspect.cleandoc(cls.__doc__ or info.summary), markup=False)
    facts = {
        "other names": ", ".join(info.aliases),
        "file": str(plugin.file),
        "paper": f"{info.paper} ({info.venue} {info.year}), {info.url}" if info.paper else "",
        "official code": info.code,
        "ours": "an idea of this suite's authors" if info.ours else "",
        "tunes": f"{', '.join(info.tunes)} ({info.depth})" if info.tunes else "nothing",
        "learns": f"{info.parameters} numbers" if info.parameters else "",
        "unseen classes": "" if info.baseline else "none: tied to its training classes" if info.class_bound else "any",
        "training images": "must be kept" if info.keeps_images else "",
        "another backbone": info.transfer,
    }
    for name, text in facts.items():
        if text:
            out.print(f"{name}: {text}", markup=False, soft_wrap=True)
    out.print(_settings(cls.Config, cls.presets))
    if info.bibtex:
        out.print(info.bibtex, markup=False, soft_wrap=True)


def _settings(config: type[MethodConfig], presets: dict[str, dict[str, Any]]) -> Table:
    """Every hyper-parameter: the official default, that of small towers where it differs, and what it means."""
    table = Table(title="Settings (--set METHOD.KEY=VALUE)", title_justify="left", title_style="")
    for column in ("key", "default", "small towers", "meaning"):
        table.add_column(column, overflow="fold")
    small, meanings = presets.get("small", {}), _meanings(config)
    for key, field in config.model_fields.items():
        table.add_row(key, _value(field), str(small[key]) if key in small else "", meanings.get(key, ""))
    return table


def _value(field: FieldInfo) -> str:
    return ", ".join(map(str, field.default)) if isinstance(field.default, tuple) else str(field.default)


def _meanings(config: type[MethodConfig]) -> dict[str, str]:
    """The texts under the fields of a configuration and of those that it extends."""
    meanings: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        if not issubclass(cls, Strict) or cls is Strict:
            continue
        body = ast.parse(inspect.cleandoc("\n" + inspect.getsource(cls))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                assert isinstance(field.target, ast.Name)
                meanings[field.target.id] = " ".join(str(text.value.value).split())
    return meanings
