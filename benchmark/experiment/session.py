"""One run of the suite: from what was asked for to a plan whose cells can be computed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console

from benchmark.backbones import sanity
from benchmark.backbones.clip import Backbone
from benchmark.backbones.flops import TowerFlops, of_backbone
from benchmark.backbones.precision import Precision
from benchmark.config import schema
from benchmark.config.errors import UserError
from benchmark.config.files import remove_leftovers
from benchmark.config.validation import check
from benchmark.data.batch import ClassList
from benchmark.data.checks import same_prompts, unusable_images
from benchmark.data.dataset import Dataset, Splits
from benchmark.data.task import TaskId
from benchmark.experiment import plan
from benchmark.experiment.costs import Costs, Remaining
from benchmark.experiment.devices import device_kind, release_memory
from benchmark.experiment.executor import Settings, cells_of, config_of, execute, executor_class, make_chunks, make_executor
from benchmark.experiment.loading import read_apart
from benchmark.experiment.plan import BackboneFacts
from benchmark.experiment.probe import probe
from benchmark.experiment.progress import Progress
from benchmark.experiment.store import Store
from benchmark.experiment.verify import Survey, survey
from benchmark.experiment.worker import Action, Context
from benchmark.method import registry
from benchmark.method.base import Method
from benchmark.method.registry import Registry
from benchmark.method.relatedness import word_table

IN_PROCESS = "in-process"
LOCAL = "local"
LISTED = 50
"""Broken images that are named."""


@dataclass(frozen=True)
class Execution:
    """How and where a run is computed."""

    out: Path = Path("results")
    device: str = "auto"
    precision: Precision = "fp32"
    workers: int | None = None
    """Worker processes; 0 computes in this process, None takes one per core or GPU."""
    cell_timeout: float | None = None
    """In seconds."""
    named_executor: str | None = None

    def executor(self, spec: schema.RunSpec) -> tuple[str, schema.Strict]:
        """Name and settings of the executor: the one that was asked for, else this process without workers, else the YAML's,
        else a pool of processes.

        Raises:
            UserError: there is no such executor, or a setting in the YAML is not valid.
        """
        name = self.named_executor or (IN_PROCESS if self.workers == 0 else str(spec.executor.get("name", LOCAL)))
        return name, config_of(name, spec.executor)

    @property
    def settings(self) -> Settings:
        return Settings(self.workers, self.cell_timeout)


@dataclass(frozen=True)
class Session:
    """An opened run."""

    spec: schema.RunSpec
    methods: Registry[Method]
    datasets: dict[str, Dataset]
    plan: plan.Plan
    backbones: list[BackboneFacts]
    store: Store
    context: Context
    execution: Execution
    flops: Mapping[str, TowerFlops] = field(default_factory=dict)
    """Of the backbones' towers, where they could be counted."""
    relatedness: Mapping[str, float] = field(default_factory=dict)
    """By pair, as "old->new", where it is known; see ``method.relatedness``."""
    looks: int = 1
    """How often verdicts may be looked at before seeds are added; see ``cli.until_decided``."""

    @property
    def baseline(self) -> str:
        """Name of the zero-shot method; empty if there is none."""
        return registry.baseline_of(self.methods)


@dataclass(frozen=True)
class Selection:
    """What a run asks for, by name; nothing of it is loaded yet."""

    spec: schema.RunSpec
    configurations: tuple[plan.Configuration, ...]
    datasets: dict[str, Dataset]
    backbones: dict[str, schema.BackboneSpec]
    repairs: tuple[plan.PlannedRepair, ...] = ()


def override(spec: schema.RunSpec, **changes: Any) -> schema.RunSpec:
    """A run with other values than its YAML's; those that are None or empty stay as they are.

    Args:
        spec: What the YAML says.
        **changes: Any of methods, datasets, protocols (names; those that the YAML has too keep its settings), seeds, shots,
            data_root, repairs, and plugins, which are added to the YAML's.

    Raises:
        UserError: a value is not valid.
    """
    given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None and value != ()}
    if "data_root" in given:
        given["data_root"] = str(expand(given["data_root"]))
    if "plugins" in given:
        given["plugins"] = (*spec.plugins, *(str(expand(folder)) for folder in given["plugins"]))
    if "protocols" in given:
        known = {protocol.name: protocol.model_dump() for protocol in spec.protocols}
        given["protocols"] = [known.get(name, name) for name in given["protocols"]]
    return check(schema.RunSpec, {**spec.model_dump(), **given}, where="command line")


def expand(path: Path) -> Path:
    """An absolute path, with the user's home for "~".

    Raises:
        UserError: there is no such user.
    """
    try:
        return path.expanduser().resolve()
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path}: {error}", fix="write another path") from None


def registries(spec: schema.RunSpec) -> tuple[Registry[Method], Registry[Dataset]]:
    """The methods and data sets that a run may name. Files that end or hold up a process when they are imported are among
    the broken ones, and are not imported here."""
    plugins = tuple(map(Path, spec.plugins))
    skipped = probe(plugins)
    return registry.methods(plugins, skipped), registry.datasets(plugins, spec.folders, skipped)


def select(
    spec: schema.RunSpec, settings: Sequence[str], methods: Registry[Method], datasets: Registry[Dataset]
) -> Selection:
    """Look up the names of a run. The baseline is always part of it: without zero-shot no module has a lift.

    Args:
        spec: What is asked for.
        settings: Changes of hyper-parameters, METHOD.KEY=VALUE.
        methods: The available ones.
        datasets: The available ones.

    Raises:
        UserError: a name is not known, or a setting is not valid.
    """
    names = {*methods.select(spec.methods), registry.baseline_of(methods)} - {""}
    configurations = plan.configurations(methods, sorted(names), settings)
    root = Path(spec.data_root) if spec.data_root else None
    chosen = {name: datasets[name].cls(root) for name in datasets.select(spec.datasets)}
    used = dict.fromkeys(name for pair in spec.pairs() for name in pair)
    return Selection(spec, configurations, chosen, {name: spec.backbones[name] for name in used})


def open_session(selection: Selection, execution: Execution, methods: Registry[Method], console: Console) -> Session:
    """Load backbones and data sets, one after the other, and make the plan.

    Raises:
        UserError: something cannot be loaded.
    """
    spec = selection.spec
    name, config = execution.executor(spec)
    device = executor_class(name).device(execution.device, config)
    if execution.device == "auto":
        console.print(f"device: {device}")
    if execution.precision != "fp32" and device == "cpu":
        raise UserError(f"--precision {execution.precision} needs a GPU", fix="leave it out")
    warnings: list[str] = []
    with console.status("loading backbones and data sets"):
        splits = read_apart(selection.datasets.values(), execution.cell_timeout)
        tasks = plan.tasks(spec, selection.datasets, splits)
        backbones, tables, flops = [], {}, {}
        for name, backbone_spec in selection.backbones.items():
            backbone = Backbone.load(name, backbone_spec)
            warnings += sanity.check(backbone) if backbone_spec.pretrained != "random" else []
            warnings += _same_prompts(backbone, selection.datasets, splits)
            backbones.append(plan.facts(backbone, backbone_spec))
            tables[name] = word_table(backbone)
            operations = of_backbone(backbone_spec, backbone.model)
            if operations is not None:
                flops[name] = operations
        del backbone
        release_memory()
    for warning in dict.fromkeys(itertools.chain(warnings, *(loaded.warnings for loaded in splits.values()))):
        console.print(f"warning: {warning}", markup=False, soft_wrap=True)
    digests = {facts.name: facts.digest for facts in backbones}
    run_plan = plan.make_plan(
        spec,
        methods,
        selection.configurations,
        tasks,
        digests,
        device=device_kind(device),
        precision=execution.precision,
        repairs=selection.repairs,
    )
    store = Store(execution.out.resolve())
    context = Context(
        backbones=selection.backbones,
        datasets=tuple(selection.datasets),
        store=store.root,
        cache=store.root / "features",
        device=device,
        precision=execution.precision,
        plugins=tuple(map(Path, spec.plugins)),
        skipped=methods.skipped,
        folders=spec.folders,
        data_root=Path(spec.data_root) if spec.data_root else None,
    )
    found = {f"{old}->{new}": tables[old].relatedness(tables[new]) for old, new in spec.pairs()}
    related = {pair: value for pair, value in found.items() if value is not None}
    return Session(spec, methods, selection.datasets, run_plan, backbones, store, context, execution, flops, related)


def _same_prompts(backbone: Backbone, datasets: Mapping[str, Dataset], splits: Mapping[str, Splits]) -> list[str]:
    """Classes that a backbone cannot tell apart by any prompt, in sentences. Ids decide, not letters: case, blanks and
    underscores may make no difference."""
    found = []
    for name, loaded in splits.items():
        classes = ClassList(loaded.classes, datasets[name].template)
        ids = backbone.tokenize(classes.texts()).ids.tolist()
        found += [f"dataset {name!r}: {sentence}" for sentence in same_prompts(loaded.classes, ids)]
    return found


def lock(root: Path) -> FileLock:
    """Keep a second run off the same results; the operating system releases the lock of a dead run. Temporary files of runs
    that were killed more than a day ago are removed."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / ".lock")
        lock.acquire(timeout=0)
        remove_leftovers(root)
    except Timeout:
        raise UserError(f"another run is writing to {root}", fix="wait for it, or choose another --out") from None
    except OSError as error:
        raise UserError(f"{root} cannot be written: {error.strerror}", fix="choose another --out") from None
    return lock


def compute(
    session: Session,
    jobs: Sequence[plan.Job],
    console: Console,
    *,
    actions: Mapping[str, Action] | None = None,
    separate: bool = False,
    on_start: Callable[[Survey, Collection[plan.Cell]], None] = lambda survey, left: None,
    on_cell: Callable[[plan.Cell, float], None] = lambda cell, seconds_left: None,
) -> None:
    """Compute the cells of jobs that are not finished, or whose files are not what was written, and show the progress.

    Args:
        session: Whose store and workers are used.
        jobs: In the order to take them.
        console: For the progress.
        actions: What to do for cells of other kinds than training and evaluation.
        separate: Whether every job is a chunk of its own, instead of all jobs of one backbone and task together.
        on_start: Told what is on disk, and the cells that are left.
        on_cell: Told every cell that is finished, and about how many seconds the rest will take.
    """
    store, execution = session.store, session.execution
    found = _survey(store, jobs, console)
    chunks = make_chunks(jobs, found.is_final, separate=separate)
    cells = {key: cell for chunk in chunks for key, cell in cells_of(chunk).items()}
    left = {key: cell for key, cell in cells.items() if not found.is_final(cell)}
    on_start(found, left.values())
    if not chunks:
        return
    _check_images(session, {job.train.task for chunk in chunks for job in chunk}, console)
    order = {seed: place for place, seed in enumerate(session.spec.seeds)}
    chunks.sort(key=lambda chunk: order.get(chunk[0].train.task.seed, 0))  # a whole table as early as possible
    costs = Costs(session.plan, session.methods, session.flops, session.context.device)
    for job in jobs:
        for cell in (job.train, *job.evals):
            if found.status(cell.key) == "ok":
                costs.learn(cell, found.cells[cell.key].seconds)
    context = replace(session.context, actions=dict(actions or {}))
    name, config = execution.executor(session.spec)
    executor = make_executor(name, context, execution.settings, config)
    executor.seconds = costs.of
    with Progress(len(left), console, Remaining(costs, store, left.values())) as progress:

        def note(cell: plan.Cell, status: str, reason: str) -> None:
            on_cell(cell, progress.on_cell(cell, status, reason))

        execute(executor, chunks, note, progress.tick)


def _survey(store: Store, jobs: Sequence[plan.Job], console: Console) -> Survey:
    """Read what is on disk; cells that do not verify are removed, and that is said."""
    with console.status("checking finished cells"):
        found = survey(store, jobs)
    if found.problems:
        key, problem = next(iter(found.problems.items()))
        cells = f"{len(found.problems)} finished cells do" if len(found.problems) > 1 else "1 finished cell does"
        text = f"warning: {cells} not verify and will be computed again, the first: {store.folder(key)}: {problem}"
        console.print(text, markup=False, soft_wrap=True)
    return found


def _check_images(session: Session, tasks: Collection[TaskId], console: Console) -> None:
    """Look at every image file that tasks use, so that all broken ones are named at once and before the work.

    Raises:
        UserError: some cannot be used.
    """
    used = [task for task in session.plan.tasks.values() if task.id in tasks]
    with console.status("looking at the image files"):
        problems = unusable_images(
            [part for task in used for part in (task.train, task.val, *(t.examples for t in task.tests))]
        )
    for problem in problems[:LISTED]:
        console.print(f"- {problem}", markup=False, soft_wrap=True)
    if problems:
        more = "" if len(problems) <= LISTED else f"the first {LISTED} of "
        what = f"{len(problems)} image{'s' if len(problems) > 1 else ''} cannot be used"
        raise UserError(what, fix=f"replace or remove {more}what is listed above")
