"""Compare ways of fine-tuning CLIP by how well they survive a backbone update.

The command line is ``clip-compat``; from Python:

    import benchmark

    old, new = benchmark.load_backbone("bundled:v1"), benchmark.load_backbone("bundled:v2")
    module = benchmark.load_module("module.safetensors").on(new, classes=["cat", "dog"])
    labels, probabilities = module.predict(images)
    benchmark.compare("module.safetensors", old, new, "digits").verdict
    results = benchmark.run(methods=["co*"], datasets=["digits"], seeds=[1])

Names are imported when they are first used: torch takes seconds, and commands that do not need it do not wait for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.analysis.check.result import CheckResult
    from benchmark.api import (
        AttachedModule,
        LoadedModule,
        Prediction,
        compare,
        load_backbone,
        load_module,
        load_results,
        run,
    )
    from benchmark.backbones.clip import Backbone
    from benchmark.config.errors import UserError
    from benchmark.method.terms import Incompatible
    from benchmark.results.archive import RunResults

_HOMES = {
    "AttachedModule": "api",
    "Backbone": "backbones.clip",
    "CheckResult": "analysis.check.result",
    "Incompatible": "method.base",
    "LoadedModule": "api",
    "Prediction": "api",
    "RunResults": "results.archive",
    "UserError": "config.errors",
    "compare": "api",
    "load_backbone": "api",
    "load_module": "api",
    "load_results": "api",
    "run": "api",
}

__all__ = [
    "AttachedModule",
    "Backbone",
    "CheckResult",
    "Incompatible",
    "LoadedModule",
    "Prediction",
    "RunResults",
    "UserError",
    "compare",
    "load_backbone",
    "load_module",
    "load_results",
    "run",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"benchmark.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'benchmark' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
