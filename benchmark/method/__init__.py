"""The method contract: what a file in ``methods/`` imports."""

from benchmark.data.batch import Batch, ClassList, FewShots
from benchmark.method.base import AdamWConfig, Info, Method, MethodConfig, Official, Space, Unfit, official_state

__all__ = [
    "AdamWConfig",
    "Batch",
    "ClassList",
    "FewShots",
    "Info",
    "Method",
    "MethodConfig",
    "Official",
    "Space",
    "Unfit",
    "official_state",
]
