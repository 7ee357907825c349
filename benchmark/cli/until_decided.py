"""Further seeds where a verdict is open: a sequential test with a fixed number of looks.

After the first seeds, and after every seed that is added, the verdicts of the headline are looked at. A method gets another
seed on the upgrades where its verdict is undecided; where it is decided, it stays as it is. Looking often, and stopping when
something is found, makes false verdicts more frequent. So all intervals and verdicts are corrected for the number of looks
that there may be, from the first on (Bonferroni over methods and looks): at most 5 % of runs have a false verdict in a table
at any look (simulated in tests/cli/test_until_decided.py).
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from rich.console import Console

from benchmark.config.errors import UserError
from benchmark.config.schema import RunSpec
from benchmark.experiment.plan import Job, Plan
from benchmark.experiment.session import Session

MOST = 10
"""Seeds in all unless ``--max-seeds`` says otherwise."""
Open = Collection[tuple[str, str, str, str]]
"""(method, configuration, old, new) of the undecided verdicts."""
Headline = tuple[str, int | None]
"""Its protocol, and the shots if it is few-shot."""


def with_more_seeds(spec: RunSpec, options: argparse.Namespace) -> RunSpec:
    """A run with all seeds that it may need.

    Raises:
        UserError: ``--max-seeds`` is smaller than the number of seeds that the run has anyway, or useless.
    """
    most = options.max_seeds
    if not options.until_decided:
        if most is not None:
            raise UserError("--max-seeds goes with --until-decided", fix="add that, or name the seeds with --seeds")
        return spec
    most = MOST if most is None else most
    if most < len(spec.seeds):
        raise UserError(f"--max-seeds {most}: the run has {len(spec.seeds)} seeds anyway", fix="name a larger number")
    others = (seed for seed in itertools.count(max(spec.seeds) + 1))
    return spec.model_copy(update={"seeds": (*spec.seeds, *itertools.islice(others, most - len(spec.seeds)))})


class Looks:
    """A session that grows seed by seed."""

    def __init__(self, whole: Session, first: Sequence[int]) -> None:
        """``whole`` has all seeds that there may be, and begins with the ``first``."""
        self.whole, self.seeds = whole, dict[int, Open | None](dict.fromkeys(first))
        """Of every seed so far what it is computed for; None for everything."""
        self._others = [seed for seed in whole.spec.seeds if seed not in first]
        self._headline: Headline = ("", None)

    @property
    def session(self) -> Session:
        """With the seeds so far."""
        spec = self.whole.spec.model_copy(update={"seeds": tuple(self.seeds)})
        plan = restricted(self.whole.plan, self.seeds, self._headline, self.whole.baseline)
        return replace(self.whole, spec=spec, plan=plan, looks=1 + len(self.whole.spec.seeds) - self._first)

    @property
    def _first(self) -> int:
        return sum(wanted is None for wanted in self.seeds.values())

    def add_seed(self, console: Console) -> bool:
        """Look at the verdicts, and add a seed for those that are undecided. False if there is none, or no seed is left."""
        if not self._others:
            return False
        with console.status("looking at the verdicts"):
            self._headline, undecided = open_verdicts(self.session)
        count = f"{len(undecided)} verdict{'' if len(undecided) == 1 else 's'}"
        if not undecided:
            console.print(f"all verdicts are decided after {len(self.seeds)} seeds")
            return False
        seed = self._others.pop(0)
        self.seeds[seed] = undecided
        methods = len({name[:2] for name in undecided})
        console.print(
            f"{count} undecided after {len(self.seeds) - 1} seeds: "
            f"seed {seed} follows for {methods} method{'' if methods == 1 else 's'}"
        )
        return True


def open_verdicts(session: Session) -> tuple[Headline, Open]:
    """What the headline is about, and its undecided verdicts."""
    from benchmark import report  # pandas, which workers need not have
    from benchmark.report import table_prep
    from benchmark.report.method_rows import headline_of
    from benchmark.report.model import FEW_SHOT, few_shot
    from benchmark.results.collect import values

    results, uncertainty = values(session)
    covariances = table_prep.covariances(uncertainty)
    prepared = table_prep.prepare(results, session.baseline, covariances, session.looks)
    infos = {name: session.methods[name].cls.info for name in set(results.method)}
    pairs = {f"{old}->{new}": (old, new) for old, new in session.plan.pairs}
    rows = headline_of(prepared, infos)
    found = [(row.method, row.config, *pairs[row.pair]) for row in rows if row.verdict == "undecided"]
    protocol = report.scope(results).protocol
    few = {few_shot(task.shots).protocol: task.shots for task in session.plan.tasks if task.protocol == FEW_SHOT}
    return (FEW_SHOT, few[protocol]) if protocol in few else (protocol, None), found


def restricted(plan: Plan, seeds: Mapping[int, Open | None], headline: Headline, baseline: str) -> Plan:
    """The jobs of some seeds; of those that were added, what their open verdicts need under the headline's protocol, and the
    baseline there."""
    jobs = [job for whole in plan.jobs if (job := _restricted(whole, seeds, headline, baseline)) is not None]
    used = {job.train.task for job in jobs}
    return replace(plan, jobs=tuple(jobs), tasks={name: task for name, task in plan.tasks.items() if name in used})


def _restricted(job: Job, seeds: Mapping[int, Open | None], headline: Headline, baseline: str) -> Job | None:
    """What is left of a job; None if nothing is."""
    task, configuration, trained = job.train.task, job.train.configuration, job.train.backbone
    if task.seed not in seeds:
        return None
    wanted = seeds[task.seed]
    if wanted is None:
        return job
    protocol, shots = headline
    if task.protocol != protocol or shots not in (None, task.shots):
        return None
    own = (configuration.method, configuration.label)
    pairs = {name[2:] for name in wanted if name[:2] == own or configuration.method == baseline}
    tested = {on for old, new in pairs for of, on in ((old, old), (old, new), (new, new)) if of == trained}
    evals = tuple(cell for cell in job.evals if cell.backbone in tested)
    return Job(job.train, evals) if evals else None
