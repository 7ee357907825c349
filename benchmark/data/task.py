"""Tasks: a dataset under a protocol, with its class split and its few-shot draw for one seed."""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.config.errors import UserError
from benchmark.data.batch import ClassList
from benchmark.data.dataset import Augmentation, Dataset, Examples, Splits, TestSet

BASE_TO_NEW = "base-to-new"
FEW_SHOT = "few-shot"
DOMAIN = "domain"
CROSS_DATASET = "cross-dataset"
HEADLINE = (BASE_TO_NEW, FEW_SHOT, DOMAIN, CROSS_DATASET)
"""The protocols in the order in which they are preferred as the one that the report's headline is about."""


@dataclass(frozen=True)
class TaskId:
    """Identifies a task; equal ids denote the same images."""

    dataset: str
    protocol: str
    shots: int
    seed: int


@dataclass(frozen=True)
class Task:
    """Few-shot training examples and the test sets that a module trained on them is evaluated on."""

    id: TaskId
    classes: tuple[str, ...]
    template: str
    context_words: str
    train: Examples
    val: Examples
    tests: tuple[TestSet, ...]
    augmentation: Augmentation
    shots: int
    """Images per class that were drawn."""
    note: str = ""
    """How the data set's split was made, if the data set says so."""
    ensemble: tuple[str, ...] = ()

    def class_list(self, test: TestSet | None = None) -> ClassList:
        """The classes to train on, or those of a test set."""
        names = self.classes if test is None else test.classes
        template = self.template if test is None else test.template
        return ClassList(names, template, self.context_words, self.ensemble)

    def split_hash(self) -> str:
        """Hash of the training images, class names and template."""
        content = [self.train.digest, list(self.classes), self.template, self.context_words, repr(self.augmentation)]
        content += [self.val.digest, list(self.ensemble)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def test_hash(self) -> str:
        """Hash of the test images, class names and templates."""
        content = [[t.key, t.examples.digest, list(t.classes), t.template] for t in self.tests]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def few_shot(labels: Sequence[int], shots: int, rng: random.Random) -> list[int]:
    """Rows of ``shots`` examples per class, classes in order of first appearance; a class with fewer keeps all.

    The procedure of CoOp's code: ``random.sample`` on the rows of each class in file order, with one random stream.
    """
    rows: dict[int, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        rows[label].append(row)
    drawn: list[int] = []
    for members in rows.values():
        drawn += rng.sample(members, shots) if len(members) >= shots else members
    return drawn


def halves(classes: int, base: int | None = None) -> tuple[range, range]:
    """Base and new labels: the first ``base``, or ceil(n / 2), and the rest (CoCoOp, Zhou et al. 2022b, section 4.1)."""
    middle = -(-classes // 2) if base is None else base
    return range(middle), range(middle, classes)


def make_task(
    dataset: Dataset, splits: Splits, task: TaskId, others: Mapping[str, tuple[Dataset, Splits]] | None = None
) -> Task:
    """Draw the few shots of a task and make its test sets; ``others`` are further test sets (see ``other_test_sets``).

    Raises:
        UserError: the dataset has no training images, or too few classes for the protocol.
    """
    if splits.train is None:
        fix = f"use {dataset.shift_of!r} instead" if dataset.shift_of else "give it some, or leave it out of --datasets"
        raise UserError(f"dataset {dataset.name!r} has no training images", fix=fix)
    shots = min(task.shots, dataset.shots)
    rng = random.Random(task.seed)
    train = splits.train.pick(few_shot(splits.train.labels, shots, rng))
    held_out = splits.val or splits.train.pick([])
    val = held_out.pick(few_shot(held_out.labels, min(shots, 4), rng))
    if task.protocol == BASE_TO_NEW:
        base, new = halves(len(splits.classes), dataset.base_classes)
        if min(len(base), len(new)) < 2:
            raise UserError(f"dataset {dataset.name!r} has too few classes for {BASE_TO_NEW}", fix="use another protocol")
        classes, train, val = _names(splits, base), only(train, base), only(val, base)
        tests = tuple(
            TestSet(part, only(splits.test, labels), _names(splits, labels), dataset.template)
            for part, labels in (("base", base), ("new", new))
        )
    else:
        classes = splits.classes
        tests = (TestSet("all", splits.test, classes, dataset.template), *_elsewhere(others or {}))
    return Task(
        task,
        classes,
        dataset.template,
        dataset.context_words,
        train,
        val,
        tests,
        dataset.augmentation,
        shots,
        splits.note,
        dataset.ensemble,
    )


def test_task(dataset: Dataset, splits: Splits) -> Task:
    """A task without training images, for a module that was trained elsewhere: evaluated on all classes, and separately on
    the base and the new classes if there are enough."""
    parts: list[tuple[str, Sequence[int]]] = [("all", range(len(splits.classes)))]
    base, new = halves(len(splits.classes), dataset.base_classes)
    if dataset.shift_of is None and len(base) > 1 and len(new) > 1:
        parts += [("base", base), ("new", new)]
    tests = tuple(
        TestSet(part, only(splits.test, labels), _names(splits, labels), dataset.template) for part, labels in parts
    )
    no_examples = splits.test.pick([])
    return Task(
        TaskId(dataset.name, "", 0, 0),
        splits.classes,
        dataset.template,
        dataset.context_words,
        no_examples,
        no_examples,
        tests,
        dataset.augmentation,
        shots=0,
        ensemble=dataset.ensemble,
    )


def other_test_sets(dataset: Dataset, protocol: str, chosen: Mapping[str, Dataset]) -> list[str]:
    """Other data sets that a module of ``dataset`` is evaluated on: its shifted test sets, or all other training sets."""
    if protocol == DOMAIN:
        return [name for name, other in chosen.items() if other.shift_of == dataset.name]
    if protocol == CROSS_DATASET:
        return [name for name, other in chosen.items() if other.shift_of is None and name != dataset.name]
    return []


def _names(splits: Splits, labels: Sequence[int]) -> tuple[str, ...]:
    return tuple(splits.classes[label] for label in labels)


def only(examples: Examples, labels: Sequence[int]) -> Examples:
    """The examples of some labels, re-indexed from 0 in the order given."""
    index = {label: position for position, label in enumerate(labels)}
    rows = [row for row, label in enumerate(examples.labels) if label in index]
    return examples.pick(rows, [index[examples.labels[row]] for row in rows])


def _elsewhere(others: Mapping[str, tuple[Dataset, Splits]]) -> list[TestSet]:
    return [
        TestSet("all", splits.test, splits.classes, dataset.template, name=name)
        for name, (dataset, splits) in sorted(others.items())
    ]
