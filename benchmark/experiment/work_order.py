"""Work that travels to another machine: a folder of JSON files which a command there computes, see ``task``.

Nothing is pickled. Plugins travel as the folders that they are in, and functions by the names that they are imported by.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from benchmark.config.files import write_atomically
from benchmark.config.schema import BackboneSpec, FolderSpec
from benchmark.data.task import TaskId
from benchmark.experiment.executor import Chunk, Settings
from benchmark.experiment.plan import Cell, Configuration, Job
from benchmark.experiment.worker import Action, Context

CONTEXT, CHUNKS, FINISHED, STATES, ERRORS, LOGS = "context.json", "chunks", "finished", "states", "errors", "logs"


@dataclass(frozen=True)
class WorkOrder:
    """A folder with everything that tasks need, and with what they say about their progress."""

    folder: Path

    def write(
        self, context: Context, settings: Settings, chunks: Sequence[Chunk], pool: Mapping[str, Any] | None = None
    ) -> None:
        """Write all of it; chunk N is the work of task N. ``pool``: settings of the pool that a task computes with."""
        content = {"context": context_to_json(context), "settings": asdict(settings), "pool": dict(pool or {})}
        for number, chunk in enumerate(chunks):
            write_atomically(self.folder / CHUNKS / f"{number}.json", _bytes([job_to_json(job) for job in chunk]))
        for name in (FINISHED, STATES, ERRORS, LOGS):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / CONTEXT, _bytes(content))

    def context(self) -> tuple[Context, Settings, dict[str, Any]]:
        """What was given to ``write``."""
        content = json.loads((self.folder / CONTEXT).read_text())
        return context_from_json(content["context"]), Settings(**content["settings"]), content["pool"]

    def chunk(self, number: int) -> Chunk:
        return tuple(job_from_json(job) for job in json.loads((self.folder / CHUNKS / f"{number}.json").read_text()))

    def finished(self, number: int) -> Path:
        """One line of JSON for each cell that a task has finished: its key, status and reason."""
        return self.folder / FINISHED / f"{number}.jsonl"

    def state(self, number: int) -> Path:
        """What a task was doing when it last said so, see ``task``."""
        return self.folder / STATES / f"{number}.json"

    def error(self, number: int) -> Path:
        """Why a task cannot compute anything."""
        return self.folder / ERRORS / f"{number}.txt"


def context_to_json(context: Context) -> dict[str, Any]:
    """A context as plain data."""
    plain = {field.name: getattr(context, field.name) for field in fields(context)}
    return plain | {
        "backbones": {name: spec.model_dump(mode="json") for name, spec in context.backbones.items()},
        "folders": {name: spec.model_dump(mode="json") for name, spec in context.folders.items()},
        "actions": {kind: f"{action.__module__}:{action.__qualname__}" for kind, action in context.actions.items()},
        "store": str(context.store),
        "cache": None if context.cache is None else str(context.cache),
        "plugins": [str(folder) for folder in context.plugins],
        "data_root": None if context.data_root is None else str(context.data_root),
        "skipped": dict(context.skipped),
    }


def context_from_json(content: Mapping[str, Any]) -> Context:
    """The context of ``context_to_json``."""
    given = dict(content)
    paths = {name: None if given[name] is None else Path(given[name]) for name in ("cache", "data_root")}
    given |= {
        "backbones": {name: BackboneSpec.model_validate_json(_text(spec)) for name, spec in given["backbones"].items()},
        "folders": {name: FolderSpec.model_validate_json(_text(spec)) for name, spec in given["folders"].items()},
        "actions": {kind: _imported(name) for kind, name in given["actions"].items()},
        "store": Path(given["store"]),
        "plugins": tuple(map(Path, given["plugins"])),
        "datasets": tuple(given["datasets"]),
    }
    return Context(**given | paths)


def _imported(name: str) -> Action:
    module, function = name.split(":")
    found: Action = attrgetter(function)(importlib.import_module(module))
    return found


def job_to_json(job: Job) -> dict[str, Any]:
    """A job as plain data."""
    return {"train": _cell_to_json(job.train), "evals": [_cell_to_json(cell) for cell in job.evals]}


def job_from_json(content: Mapping[str, Any]) -> Job:
    """The job of ``job_to_json``."""
    return Job(_cell_from_json(content["train"]), tuple(map(_cell_from_json, content["evals"])))


def _cell_to_json(cell: Cell) -> dict[str, Any]:
    return {
        "kind": cell.kind,
        "key": cell.key,
        "config": dict(cell.config),
        "configuration": asdict(cell.configuration),
        "backbone": cell.backbone,
        "task": asdict(cell.task),
        "settings": dict(cell.settings),
    }


def _cell_from_json(content: Mapping[str, Any]) -> Cell:
    given = dict(content)
    return Cell(**given | {"configuration": Configuration(**given["configuration"]), "task": TaskId(**given["task"])})


def _text(content: Any) -> str:
    return json.dumps(content, allow_nan=False)


def _bytes(content: Any) -> bytes:
    return _text(content).encode()
