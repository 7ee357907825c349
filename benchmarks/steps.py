"""What a training step of each method costs: ``python benchmarks/steps.py [--device cuda] [--precision bf16]``.

The tower is true in its architecture and random in its weights, which changes no time. Prints a Markdown table: seconds of
a step, with a CUDA graph and without where there is a GPU, its floating-point operations, the share of the device's measured
rate of matrix products, how often the host waits for the device, and the peak of its memory.
"""

from __future__ import annotations

import argparse
import platform
import time
import unittest.mock
import warnings

import numpy as np
import open_clip
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmark.backbones.clip import Backbone
from benchmark.backbones.precision import TYPES
from benchmark.config.validation import check
from benchmark.data.dataset import ArrayImages, Augmentation, Examples
from benchmark.data.features import FeatureStore
from benchmark.data.task import Task, TaskId
from benchmark.method import registry
from benchmark.method.base import Method
from benchmark.method.terms import Incompatible
from benchmark.training import replay
from benchmark.training.loop import learnt_by_gradient, train, training_images
from benchmark.training.modules import build_method, require_compatible

THINGS = (
    "apple bear car dog eagle forest guitar house island jacket kite lamp mountain needle ocean piano queen river ship tree"
)
LOOKS = "red old small wooden broken"
CLASSES = tuple(f"{look} {thing}" for thing in THINGS.split() for look in LOOKS.split())
WARM = 5
"""Steps before the clock starts."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "fp16"))
    parser.add_argument("--model", default="ViT-B-16-quickgelu", help="a model of open_clip")
    parser.add_argument("--methods", default="", help="names, separated by commas; all that train, if left out")
    parser.add_argument("--steps", type=int, default=20, help=f"that are timed, after {WARM}")
    given = parser.parse_args()
    backbone, methods = _backbone(given.model, given.device), registry.methods().plugins
    peak = _matmul_rate(torch.device(given.device), given.precision)
    print(f"{_machine(given.device)}; {given.model}, {len(CLASSES)} classes, {given.precision}: {peak / 1e12:.1f} TFLOP/s\n")
    print("| method | batch | ms a step | without a graph | GFLOP a step | share of rate | waits a step | peak memory, MB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name in given.methods.split(",") if given.methods else sorted(methods):
        try:
            row = _row(methods[name].cls, backbone, given.precision, given.steps, peak)
        except Incompatible as error:
            row = str(error)
        except torch.OutOfMemoryError:
            row = "out of memory"
        if row:
            print(f"| {name} | {row} |", flush=True)


def _row(cls: type[Method], backbone: Backbone, precision: str, steps: int, peak: float) -> str:
    """The cells of a method; empty if it learns nothing by gradient."""
    config = check(cls.Config, cls.preset("paper", "base-to-new", 16, "none"), where=cls.info.name)
    require_compatible(cls, config, backbone)
    task, store = _task(config.batch_size), FeatureStore(None)
    config = config.model_copy(update={"views": 1, "steps": WARM + steps, "warmup_epochs": 0})
    method = build_method(cls, config, backbone, task, store)
    if not learnt_by_gradient(method):
        return ""
    bank = training_images(method, task, store)
    on_gpu = backbone.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = _seconds(method, bank, precision, steps)
    memory = f"{torch.cuda.max_memory_allocated() / 2**20:.0f}" if on_gpu else ""
    waits = f"{_waits(method, bank, precision):.1f}" if on_gpu else ""
    flops = _flops(build_method(cls, config, backbone, task, store), bank, precision)
    plain = ""
    if on_gpu:
        with unittest.mock.patch.object(replay, "LEAST", 10**9):
            plain = f"{1000 * _seconds(method, bank, precision, steps):.2f}"
    share = 100 * flops / seconds / peak
    return f"{config.batch_size} | {1000 * seconds:.2f} | {plain} | {flops / 1e9:.1f} | {share:.1f} % | {waits} | {memory}"


def _seconds(method: Method, bank: object, precision: str, steps: int) -> float:
    """Of a step."""
    times: list[float] = []

    def note(step: int, _: int) -> None:
        if step in (WARM, WARM + steps):
            times.append(_now(method.backbone.device.type == "cuda"))

    method.config = method.config.model_copy(update={"steps": WARM + steps})
    train(method, bank, shots=16, seed=0, precision=precision, on_step=note)  # type: ignore[arg-type]
    return (times[1] - times[0]) / steps


def _flops(method: Method, bank: object, precision: str) -> float:
    """Of one step, once everything that is computed only once is there."""
    method.config = method.config.model_copy(update={"steps": 1})
    train(method, bank, shots=16, seed=0, precision=precision)  # type: ignore[arg-type]
    with FlopCounterMode(display=False) as counter:
        train(method, bank, shots=16, seed=0, precision=precision)  # type: ignore[arg-type]
    return float(counter.get_total_flops())


def _waits(method: Method, bank: object, precision: str, steps: int = 32) -> float:
    """How often the host waits for the device, in the mean of some steps."""
    method.config = method.config.model_copy(update={"steps": steps})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        train(method, bank, shots=16, seed=0, precision=precision)  # type: ignore[arg-type]
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught) / steps


def _matmul_rate(device: torch.device, precision: str) -> float:
    """Operations a second in a large product of random matrices."""
    size = 8192 if device.type == "cuda" else 1024
    left, right = torch.randn(2, size, size, device=device, dtype=TYPES.get(precision, torch.float32))
    for repeat in range(12):
        if repeat == 2:
            start = _now(device.type == "cuda")
        left @ right
    return 10 * 2 * size**3 / (_now(device.type == "cuda") - start)


def _now(on_gpu: bool) -> float:
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter()


def _machine(device: str) -> str:
    if device.startswith("cuda"):
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return f"{torch.get_num_threads()} threads of {platform.machine()}, torch {torch.__version__}"


def _backbone(model: str, device: str) -> Backbone:
    torch.manual_seed(0)
    tower, _, transform = open_clip.create_model_and_transforms(model, load_weights=False)
    return Backbone(model, tower, open_clip.get_tokenizer(model), transform, torch.device(device))


def _task(batch_size: int) -> Task:
    """One batch of noise."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (batch_size, 224, 224, 3), dtype=np.uint8)
    shown = Examples(ArrayImages(pictures), tuple(rng.integers(len(CLASSES), size=batch_size).tolist()))
    template, words = "a photo of a {}.", "a photo of a"
    task = TaskId("noise", "base-to-new", 16, 1)
    return Task(task, CLASSES, template, words, shown, shown.pick([0]), (), Augmentation(), shots=16)


if __name__ == "__main__":
    main()
