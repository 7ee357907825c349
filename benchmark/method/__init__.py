"""The method contract: what a file in ``methods/`` imports."""

from benchmark.config.schema import Crop
from benchmark.data.batch import Batch, ClassList, FewShots
from benchmark.method.base import AdamWConfig, Incompatible, Info, Method, MethodConfig, Official, Space, official_state

__all__ = [
    "AdamWConfig",
    "Batch",
    "ClassList",
    "Crop",
    "FewShots",
    "Incompatible",
    "Info",
    "Method",
    "MethodConfig",
    "Official",
    "Space",
    "official_state",
]
