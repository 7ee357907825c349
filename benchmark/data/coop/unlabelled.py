"""Images without labels: a folder that holds images instead of class folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.config.errors import UserError
from benchmark.data.coop.files import ImageFiles, is_image, list_entries, list_images
from benchmark.data.dataset import Augmentation, Examples, TestSet
from benchmark.data.task import Task, TaskId


def is_unlabelled(path: Path) -> bool:
    """Whether a path is a folder of images without class folders."""
    if not path.is_dir():
        return False
    entries = list_entries(path)
    return any(is_image(entry.name) for entry in entries) and not any(entry.is_dir() for entry in entries)


def unlabelled_task(path: Path, classes: Sequence[str], template: str, context_words: str) -> Task:
    """A task whose test images have no labels: those that it has are all 0 and mean nothing.

    Raises:
        UserError: there are too few classes, or images cannot be used.
    """
    if len(classes) < 2:
        fix = "name them with --classes, or give a folder for each class"
        raise UserError("the images have no labels, and the classes are not known", where=str(path), fix=fix)
    images = ImageFiles(path, list_images(path), by_content=True)
    problems = images.problems()
    if problems:
        raise UserError(f"{len(problems)} images cannot be used: {problems[0]}", where=str(path), fix="remove them")
    shown = Examples(images, (0,) * len(images))
    test, none = TestSet("all", shown, tuple(classes), template), shown.pick([])
    identity = TaskId(path.name or "images", "", 0, 0)
    return Task(
        identity, tuple(classes), template, context_words, none, none, (test,), Augmentation(), shots=0, note="no labels"
    )
