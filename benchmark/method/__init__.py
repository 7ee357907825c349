"""The method contract: what a file in ``methods/`` imports."""

from benchmark.config.schema import Crop
from benchmark.data.batch import Batch, ClassList, FewShots
from benchmark.method.base import BARE, AdamWConfig, Info, Method, MethodConfig, Official, official_state
from benchmark.method.terms import Incompatible, Space

__all__ = [
    "BARE",
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
