"""The answer for each upgrade, in words: which way to go on, what it rests on, and what speaks against it.

The rule is that of ``results.decision``; docs/statistics.md explains it to readers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.report.model import COUNTED, Answer, MethodRow, Scope, ShiftRow
from benchmark.report.numbers import listing, number, plural, signed
from benchmark.report.table import Interval
from benchmark.report.table_prep import label
from benchmark.report.ways import Repairs, repair_of
from benchmark.results.decision import KEEP, RETRAIN, STAY, Candidate, Decision, Who, keeps
from benchmark.results.elsewhere import Effects


@dataclass(frozen=True)
class Evidence:
    """All that the answer for one upgrade takes into account."""

    pair: str
    """As the page writes it."""
    anchor: str
    old: str
    """Name of the old backbone."""
    new: str
    rows: Sequence[MethodRow]
    decision: Decision
    elsewhere: Mapping[str, Sequence[ShiftRow]] = field(default_factory=dict)
    """By what the test sets of another protocol are called: the mean over them of reused modules, by method."""
    effects: Mapping[str, Effects] = field(default_factory=dict)
    """The same of the candidates of all ways."""
    repairs: Repairs = ()
    """Those that are part of the run, see ``About.repairs``."""
    repair: str = ""
    """What the repair analysis says."""


def harmful(effects: Mapping[str, Effects]) -> dict[Who, str]:
    """The candidates that harm under another protocol, and what its test sets are called."""
    titles: dict[Who, list[str]] = {}
    for title, found in effects.items():
        for who, effect in found.items():
            if effect.verdict == "harms":
                titles.setdefault(who, []).append(title)
    return {who: listing(some) for who, some in titles.items()}


def answer(evidence: Evidence, view: Scope) -> Answer:
    """What a team should do at one upgrade."""
    judged = [row for row in evidence.rows if not row.baseline and row.verdict in COUNTED]
    choice = evidence.decision.choice
    if not judged and choice is None:
        text = "No module has a result on the new backbone."
        return Answer(evidence.pair, evidence.anchor, "no result", "undecided", text, evidence.repair)
    harm = any(row.verdict == "harms" for row in judged)
    kind = "helps" if choice and choice.way == "keep" else "harms" if harm else "undecided"
    sentences = [_choice(evidence, view), _spread(evidence), _tied(evidence), _counts(evidence, judged)]
    text = " ".join(sentence for sentence in sentences if sentence)
    lift = str(Interval(choice.over_none, *choice.interval)) if choice else ""
    return Answer(evidence.pair, evidence.anchor, decided(choice, evidence), kind, text, evidence.repair, lift)


def decided(choice: Candidate | None, evidence: Evidence) -> str:
    """The way to go on, in a few words."""
    if choice is None:
        return "use no module"
    name, repair = label(choice.method, choice.config), repair_of(choice.way, evidence.repairs)
    if repair is not None:
        return f"run both, with {name}" if keeps(repair) else f"repair {name} ({repair['title']})"
    return {KEEP: f"keep {name}", STAY: f"stay on {evidence.old}", RETRAIN: f"retrain {name}"}[choice.way]


def _choice(evidence: Evidence, view: Scope) -> str:
    """What the choice brings."""
    choice, bare = evidence.decision.choice, next((row for row in evidence.rows if row.baseline), None)
    without = f" ({view.word} {number(bare.reuse.main)})" if bare is not None and math.isfinite(bare.reuse.main) else ""
    if choice is None:
        text = f"Nothing that was measured is significantly better than the new backbone without a module{without}"
        barred = [one for one in evidence.decision.best.values() if one.better]
        named = [f"{_way(one, evidence)} ({label(one.method, one.config)}) harms on {one.harms_on}" for one in barred]
        return f"{text} and does no harm elsewhere: {listing(named)}." if named else f"{text}."
    name = label(choice.method, choice.config)
    who = _who(choice, name, evidence)
    if choice.way == STAY and bare is not None and choice.method == bare.method:
        who = f"Without a module, {evidence.old}"
    lift = f"{Interval(choice.over_none, *choice.interval)} points over the new backbone without a module{without}"
    text = f"{who} has {view.word} {number(choice.accuracy)}, {lift}"
    kept = evidence.decision.best.get(KEEP)
    if choice.way != KEEP and kept is not None:
        harm = f" and harms on {kept.harms_on}" if kept.harms_on else ""
        text += f"; the best reused module, {label(kept.method, kept.config)}, has {number(kept.accuracy)}{harm}"
    return text + "."


def _who(choice: Candidate, name: str, evidence: Evidence) -> str:
    """What the values of a choice belong to."""
    repair = repair_of(choice.way, evidence.repairs)
    if repair is None:
        return {KEEP: f"Reused, {name}", STAY: f"On {evidence.old}, {name}", RETRAIN: f"Retrained, {name}"}[choice.way]
    if keeps(repair):
        return f"On {evidence.old} and {evidence.new} together ({repair['title']}), {name}"
    return f"Repaired ({repair['title']}), {name}"


def _spread(evidence: Evidence) -> str:
    """Where the choice helps and where not: every data set, and the test sets of other protocols."""
    choice, lifts = evidence.decision.choice, evidence.decision.by_dataset
    if choice is None:
        return ""
    parts = []
    if len(lifts) > 1:
        worst, best = min(lifts, key=lambda data: lifts[data]), max(lifts, key=lambda data: lifts[data])
        others = [lift for data, lift in lifts.items() if data != best]
        above = sum(lift > 0 for lift in lifts.values())
        parts.append(
            f"the choice is better than no module on {above} of {len(lifts)} data sets "
            f"(lowest: {worst} {signed(lifts[worst])}; mean without {best}: {signed(sum(others) / len(others))})"
        )
    for title, effects in evidence.effects.items():
        effect = effects.get((choice.way, choice.method, choice.config))
        if effect is not None and math.isfinite(effect.mean):
            difference = Interval(effect.mean, *effect.interval)
            parts.append(f"on {title} it is {difference} points over no module (verdict: {effect.verdict})")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if parts else ""


def _tied(evidence: Evidence) -> str:
    """The costlier ways that are not significantly better."""
    tied = evidence.decision.tied
    parts = [f"{_way(one, evidence)} ({label(one.method, one.config)}, {number(one.accuracy)})" for one in tied]
    return f"Costlier ways that are not significantly better: {listing(parts)}." if parts else ""


def _way(candidate: Candidate, evidence: Evidence) -> str:
    """What a candidate's way is called in a list."""
    repair = repair_of(candidate.way, evidence.repairs)
    if repair is not None:
        return str(repair["title"])
    return {KEEP: "reuse", STAY: f"staying on {evidence.old}", RETRAIN: "retraining"}[candidate.way]


def _counts(evidence: Evidence, judged: Sequence[MethodRow]) -> str:
    """How many methods help and harm when reused, here and elsewhere."""
    incompatible = sum(row.verdict == "incompatible" for row in evidence.rows)
    parts = [f"of {plural(len(judged), 'reused method')}, {_helping([row.verdict for row in judged])}"]
    parts += [f"on {title}, {_helping([row.verdict for row in rows])}" for title, rows in evidence.elsewhere.items()]
    if incompatible:
        parts.append(f"{incompatible} {'is' if incompatible == 1 else 'are'} incompatible")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _helping(verdicts: Sequence[str]) -> str:
    helps, harms = (verdicts.count(name) for name in ("helps", "harms"))
    return f"{helps or 'none'} {'helps' if helps == 1 else 'help'} and {harms or 'none'} {'harms' if harms == 1 else 'harm'}"


def headline(answers: Sequence[Answer]) -> str:
    """One sentence over all upgrades: the upgrades by what to do."""
    if not answers:
        return "There are no results."
    groups: dict[str, list[str]] = {}
    for item in answers:
        groups.setdefault(item.decision, []).append(item.pair)
    parts = [f"{listing(pairs)}: {decision}" for decision, pairs in groups.items()]
    return ". ".join(parts) + "."
