"""What notebooks and other programs use of the suite; ``import benchmark`` offers the same names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from rich.console import Console

from benchmark.analysis.check.result import CheckResult
from benchmark.analysis.check.run import BUDGET, Question, ask, own_images, repairs_to_try, task_of
from benchmark.analysis.repair_cells import ACTIONS, planned_repairs
from benchmark.backbones.clip import Backbone
from benchmark.config import loader
from benchmark.config.errors import UserError
from benchmark.config.schema import BackboneSpec, RunSpec
from benchmark.config.validation import check
from benchmark.data.batch import Batch, ClassList, FewShots
from benchmark.data.coop.image_file import to_rgb
from benchmark.data.dataset import Augmentation, Dataset, Examples
from benchmark.data.features import FeatureStore
from benchmark.experiment import preflight
from benchmark.experiment.loading import load_splits
from benchmark.experiment.session import Execution, compute, lock, open_session, override, registries, select
from benchmark.method import registry
from benchmark.method.base import Method
from benchmark.method.checkpoints import read_module
from benchmark.method.passage import Passage
from benchmark.method.registry import Registry
from benchmark.method.terms import Incompatible
from benchmark.results import archive
from benchmark.results.archive import RunResults
from benchmark.results.collect import collect
from benchmark.training.evaluation import columns_of
from benchmark.training.modules import Module, attach, carried, require_compatible

Images = Image.Image | Sequence[Image.Image] | torch.Tensor


class Prediction(NamedTuple):
    """What a module says about some images."""

    labels: list[str]
    """The most probable class of each image."""
    probabilities: torch.Tensor
    """(N, C) fp32 on the CPU, classes in the order in which they were given."""


@dataclass(frozen=True, eq=False)
class AttachedModule:
    """A module on a backbone, for a list of classes."""

    method: Method
    classes: tuple[str, ...]
    columns: list[int] | None = None
    """Where the classes are among those that the module scores; None if they are the same."""

    @property
    def backbone(self) -> Backbone:
        return self.method.backbone

    def logits(self, images: Images) -> torch.Tensor:
        """Scores (N, C) of the classes, fp32 on the CPU.

        Args:
            images: One PIL image, several, or a tensor: bytes (N, 3, H, W) at the backbone's image size are normalised,
                floats are taken as pixels that its preprocessing has made.
        """
        pixels = self._pixels(images)
        labels = torch.zeros(len(pixels), dtype=torch.long, device=self.backbone.device)
        with torch.no_grad():
            if self.method.needs_pixels:
                batch = Batch(labels, pixels=pixels)
            else:
                batch = Batch(labels, features=self.backbone.encode_image(pixels).float())
            logits = self.method.logits(batch).float().cpu()
        return logits if self.columns is None else logits[:, self.columns]

    def predict(self, images: Images) -> Prediction:
        """Labels and probabilities of images (see ``logits`` for what they may be)."""
        probabilities = self.logits(images).softmax(1)
        return Prediction([self.classes[index] for index in probabilities.argmax(1).tolist()], probabilities)

    def _pixels(self, images: Images) -> torch.Tensor:
        backbone = self.backbone
        if isinstance(images, torch.Tensor):
            if images.ndim != 4 or images.shape[1] != 3:
                raise ValueError(f"expected a tensor (N, 3, H, W), got {tuple(images.shape)}")
            return images.to(backbone.device) if images.is_floating_point() else backbone.normalise(images)
        listed = [images] if isinstance(images, Image.Image) else list(images)
        if not listed:
            raise ValueError("no images")
        rgb = [to_rgb(image, f"image {number}") for number, image in enumerate(listed, start=1)]
        return backbone.normalise(torch.stack([backbone.frame(image) for image in rgb]))


@dataclass(frozen=True, eq=False)
class LoadedModule:
    """A module from a file, not yet on any backbone."""

    method: str
    """Name of the method that learnt it."""
    module: Module
    note: str = ""
    """What was left out of the file, or assumed."""
    described: Mapping[str, Any] = field(default_factory=dict)
    """What the file says about its training, such as ``template`` and ``context_words``; empty for official checkpoints."""

    def on(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        *,
        template: str | None = None,
        context_words: str | None = None,
        examples: Examples | None = None,
        old: Backbone | None = None,
    ) -> AttachedModule:
        """Attach the module to a backbone, which may be another than the one that it was trained on.

        Args:
            backbone: Where it is to work.
            classes: The names to tell apart.
            template: The sentence that names a class, with one {}; that of the training data unless given.
            context_words: What such a sentence puts before the name; that of the training data unless given.
            examples: The few training images, for methods that need them wherever they are (Tip-Adapter).
            old: The backbone that it was trained on, for methods whose modules change on the way to another one.

        Raises:
            Incompatible: the module does not work on this backbone, or with these classes.
        """
        cls, config = self.module.cls, self.module.config
        require_compatible(cls, config, backbone)
        default = ClassList(("x",))
        sentence = template or self.described.get("template", default.template)
        words = context_words or self.described.get("context_words", default.context_words)
        names, columns = tuple(classes), None
        if cls.info.class_bound and self.module.classes:
            columns = columns_of(names, self.module.classes)
            if columns is None:
                raise Incompatible(f"it belongs to its training classes: {', '.join(self.module.classes)}")
        class_list = ClassList(self.module.classes if columns is not None else names, sentence, words)
        shots = None if examples is None else _few_shots(backbone, examples)
        passage = self.passage(backbone, old)
        module = carried(self.module, passage) if passage else self.module
        method = attach(cls, config, backbone, class_list, module.tensors, shots)
        return AttachedModule(method, names, columns)

    def passage(self, new: Backbone, old: Backbone | None) -> Passage | None:
        """The way to a backbone; None if the module was trained on it."""
        trained_on = self.described.get("backbone", {}).get("digest")

        def given() -> Backbone:
            if old is None:
                raise Incompatible("carrying it to another backbone needs the one that it was trained on: pass that as old")
            return old

        digest = old.digest if old is not None else trained_on
        return None if digest in (None, new.digest) else Passage(given, new)


def load_backbone(
    model: str, pretrained: str | None = None, *, name: str | None = None, device: str | torch.device = "cpu"
) -> Backbone:
    """A frozen CLIP.

    Args:
        model: As open_clip names it ("ViT-B-16-quickgelu"), ``hf-hub:org/repo``, ``local-dir:/path``, or ``bundled:v1`` to
            ``bundled:v5``, the small CLIPs that come with the suite.
        pretrained: Tag or checkpoint file, for a model of open_clip's list; "random" for random weights.
        name: What messages call it; the model unless given.
        device: Where it computes.

    Raises:
        UserError: there is no such model or tag, or its weights cannot be loaded.
    """
    spec = check(BackboneSpec, {"model": model, "pretrained": pretrained}, where="load_backbone")
    return Backbone.load(name or model, spec, device)


def load_module(file: str | Path, *, method: str | None = None, plugins: Sequence[str | Path] = ()) -> LoadedModule:
    """A module of this suite, or a checkpoint of a method's official code; nothing in the file is executed.

    Args:
        file: ``module.safetensors``, or the official checkpoint.
        method: Whose it is, if several methods could have written the file.
        plugins: Folders of your own with a subfolder ``methods/``.

    Raises:
        UserError: the file is missing, broken or refused, or belongs to no method.
    """
    methods = _methods(tuple(map(Path, plugins)))
    stored = read_module(Path(file), methods, method)
    cls = methods[stored.method].cls
    config = check(cls.Config, stored.settings, where=f"method {stored.method}")
    return LoadedModule(stored.method, Module(cls, config, stored.tensors, stored.classes), stored.note, stored.described)


def compare(
    module: LoadedModule | str | Path,
    old: Backbone,
    new: Backbone,
    dataset: str | Path | Dataset,
    *,
    data_root: str | Path | None = None,
    repairs: Sequence[str] | None = None,
    retrain: bool = False,
) -> CheckResult:
    """What to do with a module, as the command ``check`` says it.

    Args:
        module: Loaded, or its file or folder.
        old: The backbone that it was trained on.
        new: The one that takes its place.
        dataset: A data set's name, a folder or CSV of your own, or a data set.
        data_root: Folder of data sets that are read from files.
        repairs: Names or globs of repairs, "all" or "none"; those that take no training unless given.
        retrain: Retrain for comparison, however long it takes.

    Returns:
        ``verdict``, ``values`` with their intervals, and ``table``, one row per option; what was checked is in ``about``.

    Raises:
        UserError: there is no such data set or repair, or files are missing.
        Incompatible: the module fits neither backbone.
    """
    loaded = module if isinstance(module, LoadedModule) else load_module(module)
    chosen = repairs_to_try(repairs)
    if not isinstance(dataset, Dataset):
        path = Path(dataset)
        if path.exists():
            dataset = own_images(path)
        else:
            dataset = registry.datasets()[str(dataset)].cls(Path(data_root) if data_root else None)
    preflight.require({}, [dataset], _quiet())
    task, warnings = task_of(dataset, load_splits(dataset), loaded.module)
    budget = float("inf") if retrain else BUDGET
    question = Question(loaded.module, old, new, task, repairs=chosen, budget=budget, about={"warnings": warnings})
    return ask(question, FeatureStore(None))


def run(
    spec: str | Path | RunSpec | None = None,
    *,
    out: str | Path = "results",
    device: str = "auto",
    workers: int | None = None,
    settings: Sequence[str] = (),
    **changes: Any,
) -> RunResults:
    """Train, reuse and evaluate what a YAML asks for, as the command line does, without writing a report.

    Args:
        spec: A YAML, what was read from one, or None for ./pairs.yaml or the embedded default.
        out: Results folder; finished cells in it are used again.
        device: auto, cpu, cuda, cuda:1.
        workers: Processes; 0 computes in this one, None takes one per core or GPU.
        settings: Changes of hyper-parameters, METHOD.KEY=VALUE.
        **changes: methods, datasets, protocols, seeds, shots, data_root, repairs or plugins in place of the YAML's.

    Raises:
        UserError: something asked for is not known, missing, or cannot be loaded.
    """
    read = spec if isinstance(spec, RunSpec) else loader.load(loader.find(Path(spec) if spec is not None else None))
    chosen = override(read, **{name: _as_option(name, value) for name, value in changes.items()})
    methods, datasets = registries(chosen)
    selection = replace(select(chosen, settings, methods, datasets), repairs=planned_repairs(chosen.repairs))
    console = _quiet()
    preflight.require(selection.backbones, selection.datasets.values(), console)
    execution = Execution(out=Path(out), device=device, workers=workers)
    session = open_session(selection, execution, methods, console)
    with lock(session.store.root):
        compute(session, session.plan.jobs, console, actions=ACTIONS)
        results = collect(session, "benchmark.run(...)")
        archive.save(results)
    return results


def load_results(folder: str | Path = "results") -> RunResults:
    """The results that a run left in a folder, or that a pack holds: tidy DataFrames ``results``, ``runs`` and
    ``uncertainty``, and their provenance ``about``.

    Raises:
        UserError: the folder has no finished results, or they are broken.
    """
    return archive.read(Path(folder))


@lru_cache(maxsize=4)
def _methods(plugins: tuple[Path, ...]) -> Registry[Method]:
    return registry.methods(plugins)


def _few_shots(backbone: Backbone, examples: Examples) -> FewShots:
    features = FeatureStore(None)

    def encode(views: int) -> torch.Tensor:
        return features.training(backbone, examples, Augmentation(), views, pixels=False).views

    return FewShots(torch.tensor(examples.labels, dtype=torch.long, device=backbone.device), encode)


def _as_option(name: str, value: Any) -> Any:
    """A keyword as the command line would give it: lists become tuples, one name a tuple of it."""
    if name in ("data_root",):
        return None if value is None else Path(value)
    if name == "plugins":
        return tuple(Path(folder) for folder in ([value] if isinstance(value, str | Path) else value))
    if isinstance(value, str | int) and name != "shots":
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _quiet() -> Console:
    return Console(stderr=True, highlight=False)


__all__ = [
    "AttachedModule",
    "CheckResult",
    "LoadedModule",
    "Prediction",
    "UserError",
    "compare",
    "load_backbone",
    "load_module",
    "load_results",
    "run",
]
