"""Finds the images that modules lose in an upgrade, in the predictions of a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmark.data.dataset import Dataset, Examples, TestSet
from benchmark.data.task import HEADLINE, Task
from benchmark.data.thumbnail import address, image_name
from benchmark.experiment.plan import DEFAULT, Configuration, Plan
from benchmark.method.base import Info
from benchmark.results.cell_reader import CellReader
from benchmark.results.lost_images import LostClass, LostImages, Picture, bounded, choose

RIGHT = -1
"""In place of a wrong answer."""
Answers = dict[str, dict[str, np.ndarray]]
"""By method and module: (N,) the wrong answer on the new backbone, or ``RIGHT`` if the module does not lose the image."""


class LostRows:
    """The lost images of a plan under the protocol of the report's headline, on its data sets' own test images."""

    def __init__(self, plan: Plan, reader: CellReader, datasets: Mapping[str, Dataset], methods: Mapping[str, Info]) -> None:
        """``datasets``: by name; only those that show images take part. ``methods``: by name; baselines have no modules."""
        self.plan, self.reader = plan, reader
        self.protocol = min((task.protocol for task in plan.tasks), key=HEADLINE.index, default=HEADLINE[0])
        shown = [task for task in plan.tasks if task.protocol == self.protocol and datasets[task.dataset].shows_images]
        self._shots = {name: max(task.shots for task in shown if task.dataset == name) for name in _names(shown)}
        self._configurations = [one for one in plan.configurations if not methods[one.method].baseline]
        self._classes: dict[tuple[str, str], list[LostClass]] = {pair: [] for pair in plan.pairs}
        self._tests: dict[tuple[str, str], Examples] = {}

    def add(self, seeds: Sequence[Task]) -> None:
        """Read the cells of tasks that differ by their seed only."""
        task = seeds[0]
        if task.id.protocol != self.protocol or task.id.shots != self._shots.get(task.id.dataset):
            return
        for test in task.tests:
            if not test.name:
                self._tests[task.id.dataset, test.part] = test.examples
                for pair in self.plan.pairs:
                    answers = self._answers(*pair, seeds, test)
                    if answers:
                        self._classes[pair] += _classes(task.id.dataset, test, answers)

    def lost(self) -> dict[str, LostImages]:
        """By pair, "old->new". The images of the pictures are read here."""
        images: dict[str, int] = dict.fromkeys(self._shots, 0)
        for (dataset, _), examples in self._tests.items():
            images[dataset] += len(examples)
        known: dict[tuple[str, str, int], str] = {}
        found = {}
        for (old, new), classes in self._classes.items():
            if not classes:
                continue
            chosen = bounded(LostImages(self.protocol, images, tuple(classes)))
            drawn = [replace(own, pictures=tuple(self._drawn(own, known))) for own in chosen.classes]
            found[f"{old}->{new}"] = replace(chosen, classes=tuple(drawn))
        return found

    def _drawn(self, own: LostClass, known: dict[tuple[str, str, int], str]) -> Iterator[Picture]:
        """The pictures of a class with their content; ``known`` are those that other upgrades have as well."""
        examples = self._tests[own.dataset, own.part]
        for picture in own.pictures:
            place = own.dataset, own.part, picture.row
            if place not in known:
                known[place] = address(examples.images, picture.row)
            yield replace(picture, data=known[place])

    def _answers(self, old: str, new: str, seeds: Sequence[Task], test: TestSet) -> Answers:
        answers: Answers = {}
        for configuration in self._configurations:
            for task in seeds:
                before, after = (self._predicted(configuration, task, test.key, old, tested) for tested in (old, new))
                if before is not None and after is not None:
                    labels = self.reader.labels(task, test.key)
                    lost = (before == labels) & (after != labels)
                    module = f"{task.id.shots}/{task.id.seed}"
                    answers.setdefault(_id(configuration), {})[module] = np.where(lost, after.astype(np.int64), RIGHT)
        return answers

    def _predicted(self, configuration: Configuration, task: Task, test: str, old: str, tested: str) -> np.ndarray | None:
        cell = self.plan.find(configuration, task.id, old, tested)
        return self.reader.predicted(cell.key, test) if cell is not None and self.reader.is_ok(cell.key) else None


def _classes(dataset: str, test: TestSet, answers: Answers) -> list[LostClass]:
    """The classes that lose images, with pictures without content: no more than one data set can have in a gallery."""
    lost = [np.stack(list(modules.values())) != RIGHT for modules in answers.values()]
    methods, modules = (sum(count(one, axis=0).astype(int) for one in lost) for count in (np.any, np.sum))
    labels = np.asarray(test.examples.labels)
    order = np.lexsort((np.arange(len(labels)), -modules, -methods))
    ranked = [int(row) for row in order if methods[row]]
    chosen = choose(ranked, lambda row: labels[row])
    return [
        LostClass(
            dataset,
            test.part,
            int(label),
            test.classes[label],
            tuple(sorted(row for row in ranked if labels[row] == label)),
            tuple(_picture(test, row, answers) for row in chosen if labels[row] == label),
        )
        for label in np.unique(labels[ranked])
    ]


def _picture(test: TestSet, row: int, answers: Answers) -> Picture:
    """A picture without content."""
    words = {
        name: {module: "" if wrong[row] == RIGHT else test.classes[wrong[row]] for module, wrong in modules.items()}
        for name, modules in answers.items()
    }
    return Picture(row, image_name(test.examples.images, row), "", words)


def _id(configuration: Configuration) -> str:
    """What users call a method with its configuration."""
    return configuration.method if configuration.label == DEFAULT else f"{configuration.method} ({configuration.label})"


def _names(tasks: Sequence[object]) -> list[str]:
    return list(dict.fromkeys(task.dataset for task in tasks))  # type: ignore[attr-defined]
