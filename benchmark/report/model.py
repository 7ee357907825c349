"""The rows that the report's tables show, its drawings and its sections. Accuracies are in per cent, differences in points.

A missing value is NaN and is shown as a dash.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from benchmark.report.table import NAN, Interval, Plain, Table
from benchmark.results.summary import baseline_column, column

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


NONE = Interval()
COUNTED = ("helps", "harms", "no effect", "undecided")
"""Verdicts on modules that work on the new backbone."""
BOUND = "training classes only"
"""In place of a verdict, for a method that cannot predict unseen classes."""


@dataclass(frozen=True)
class Scope:
    """What the headline is about: a protocol and one of its splits."""

    protocol: str
    split: str
    parts: tuple[str, ...]
    """The splits that ``split`` combines; empty if it is a single one."""
    word: str
    """What sentences call the accuracy."""


BASE_TO_NEW = Scope("base-to-new", "H", ("base", "new"), "H")
DOMAIN = Scope("domain", "all", (), "accuracy")
CROSS_DATASET = Scope("cross-dataset", "all", (), "accuracy")
FEW_SHOT = "few-shot"
"""In the report each number of shots of this protocol is a protocol of its own, named by ``few_shot``."""


def few_shot(shots: int) -> Scope:
    """All classes with some shots."""
    return Scope(f"{FEW_SHOT}, {shots} {'shot' if shots == 1 else 'shots'}", "all", (), "accuracy")


@dataclass(frozen=True)
class Accuracies:
    """Accuracies of one strategy: the headline accuracy (H, or that of all classes), and those of base and new classes."""

    main: float = NAN
    base: float = NAN
    new: float = NAN


@dataclass(frozen=True)
class MethodRow:
    """One method with one configuration on one pair."""

    pair: str
    method: str
    config: str
    label: str
    depth: str
    baseline: bool = False
    old: Accuracies = Accuracies()
    reuse: Accuracies = Accuracies()
    retrain: float = NAN
    zs_new: float = NAN
    lift: Interval = NONE
    gain: Interval = NONE
    retained: Interval = NONE
    metrics: Mapping[str, float] = field(default_factory=dict)
    """All metrics but accuracy, and zero-shot's, by the names of ``summary.column`` and ``summary.baseline_column``."""
    verdict: str = ""
    rank: tuple[int, int] | None = None
    """Best and worst rank by reuse among the methods with all their cells; None without intervals."""
    missing: int = 0
    """How many of the ``cells`` (data set, seed) have no reuse accuracy."""
    cells: int = 0
    note: str = ""

    def metric(self, name: str, strategy: str, *, zero_shot: bool = False) -> float:
        """A metric other than accuracy, or zero-shot's; NaN if there is none."""
        return self.metrics.get((baseline_column if zero_shot else column)(name, strategy), NAN)

    @property
    def place(self) -> str:
        """ "best", "tied with the best", or empty."""
        if self.rank is None or self.rank[0] > 1:
            return ""
        return "best" if self.rank[1] == 1 else "tied with the best"

    @property
    def bound(self) -> bool:
        """True if it has an accuracy on its training classes only, to which it is bound."""
        return self.verdict == BOUND

    @property
    def complete(self) -> bool:
        return self.missing == 0 and math.isfinite(self.reuse.main)


@dataclass(frozen=True)
class ShiftRow:
    """One method on one pair under another protocol, on one test set or the mean over several, named by ``test_set``."""

    label: str
    baseline: bool
    dataset: str
    test_set: str
    old: float
    reuse: float
    retrain: float
    zs_new: float
    lift: Interval
    verdict: str = ""
    missing: int = 0
    """How many of the ``cells`` (data set, test set, seed) have no reuse accuracy."""
    cells: int = 0


@dataclass(frozen=True)
class ProtocolView:
    """One pair under another protocol than the headline's: its tables, and one that is shown on request."""

    name: str
    tables: Sequence[Table]
    details: Table | None = None


@dataclass(frozen=True)
class Section:
    """A section about another protocol than the headline's."""

    anchor: str
    title: str
    intro: str
    pairs: Sequence[ProtocolView]
    protocol: str


@dataclass(frozen=True)
class FailureRow:
    """Cells that have no value for the same cause."""

    pair: str
    cause: str
    status: str
    methods: tuple[str, ...]
    reasons: tuple[str, ...]
    """As they were recorded, each after its method if there are several; empty if the cause says the same."""
    strategies: str
    datasets: str
    count: int


@dataclass(frozen=True)
class CostRow:
    """What a method cost to train: seconds, count of learnt numbers, MB."""

    label: str
    runs: int
    seconds: float
    total: float
    parameters: tuple[float, float]
    """Smallest and largest over the backbones."""
    peak_mb: float


@dataclass(frozen=True)
class CapabilityRow:
    """What a method can do, in words for a table, and its cost relative to the reference."""

    label: str
    changes: str
    runs: str
    depth: str
    unseen: bool
    fits: tuple[bool, bool, bool]
    """Another embedding width, another text width, another kind of image tower."""
    needs_images: bool
    parameters: str
    """A formula."""
    relative: float
    """Training time in multiples of the reference's on the same tasks; NaN if unknown."""


@dataclass(frozen=True)
class Figure:
    """A drawing, its title and caption, and the data that it shows."""

    name: str
    """Stem of its files."""
    canvas: Canvas
    title: str
    caption: str
    columns: tuple[str, ...]
    data: tuple[tuple[Plain, ...], ...]

    @cached_property
    def file(self) -> str:
        """The drawing as an SVG file."""
        from benchmark.report import drawing  # matplotlib takes seconds to import: not before there is something to draw

        return drawing.svg(self.canvas, self.name)

    @property
    def svg(self) -> str:
        """The drawing as part of a page."""
        from benchmark.report import drawing

        return drawing.inline(self.file, self.title, drawing.values(self.canvas))


@dataclass(frozen=True)
class Answer:
    """What to do at one upgrade, in two words and a sentence."""

    pair: str
    anchor: str
    decision: str
    kind: str
    """helps, harms or undecided, for its colour."""
    sentence: str
    repair: str = ""
    lift: str = ""
    """Of what is chosen over the new backbone without a module, with its interval; empty if nothing is chosen."""


@dataclass(frozen=True)
class KeyNumber:
    """A key number and what it means."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class OverviewRow:
    """One method on all pairs."""

    method: str
    label: str
    depth: str
    rows: tuple[MethodRow | None, ...]
    mean: Interval
    """Of lift over the pairs where it has all its cells."""
    pairs: int
    """How many pairs the mean covers."""


@dataclass(frozen=True)
class AnalysisSection:
    """A section about one analysis of one data set."""

    name: str
    explains: bool
    """Whether it says why modules survive, or what to do."""
    anchor: str
    title: str
    question: str
    command: str
    """The command that runs it."""
    findings: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    provenance: str = ""
    """How it was made; empty if it has not been run."""
    warning: str | None = None
