"""The sentences of a check, the same in the terminal, on the page and on the card."""

from __future__ import annotations

import math

from benchmark.analysis.check.options import Option
from benchmark.analysis.check.result import CheckResult
from benchmark.analysis.check.verdict import Verdict, gap
from benchmark.report.numbers import DASH, count, duration, listing, number, plural, signed
from benchmark.results.image_intervals import Measured

SEEDLESS = (
    "Intervals are of 95 % and cover the choice of test images. They do not cover the training: with another seed, or other "
    "training images, the same method may come out differently, and one module cannot say by how much."
)


def difference(value: Measured) -> str:
    """A difference in points with its interval."""
    return f"{signed(value.value)} points [{signed(value.low)}, {signed(value.high)}]"


def not_applicable(result: CheckResult) -> list[str]:
    """Repairs that could not be measured, by reason, one line each."""
    by_reason: dict[str, list[str]] = {}
    for option in result.options:
        if not option.measured and option.kind in ("repair", "both"):
            by_reason.setdefault(option.reason, []).append(quoted(option))
    return [f"{listing(labels)}: {reason}" for reason, labels in by_reason.items()]


def rate(value: Measured) -> str:
    """A share in per cent with its interval."""
    return f"{number(value.value)} % [{number(value.low)}, {number(value.high)}]"


def headline(result: CheckResult) -> str:
    """What to do, in a few words."""
    verdict = result.verdict
    if verdict is None:
        return "No verdict without labels."
    old, new, choice = result.about["old"]["name"], result.about["new"]["name"], verdict.choice
    return {
        "keep": f"Keep the module on {new}.",
        "discard": f"Discard the module: {new} is as good without it.",
        "repair": f"Repair the module for {new}: {quoted(choice)}.",
        "stay": f"Stay on {old} with the module.",
        "both": f"Run {old} with the module and {new} together: {quoted(choice)}.",
        "retrain": f"Retrain the module on {new}.",
    }[choice.kind]


def quoted(option: Option) -> str:
    """The label of an option within a sentence."""
    return f"\N{LEFT DOUBLE QUOTATION MARK}{option.label}\N{RIGHT DOUBLE QUOTATION MARK}"


def sentences(result: CheckResult) -> list[str]:
    """What the headline rests on."""
    verdict = result.verdict
    if verdict is None:
        return _without_labels(result)
    told = [*_reasons(result, verdict), _effect(result, verdict)]
    if verdict.tied:
        labels = listing([quoted(option) for option in verdict.tied])
        told.append(f"These images cannot tell it from {labels}. A costlier option is advised only if it is better on them.")
    return [*told, *_not_measured(result)]


def _reasons(result: CheckResult, verdict: Verdict) -> list[str]:
    """The accuracy of the choice and what it takes, then how far the other plain options are from it."""
    choice, images = verdict.choice, plural(len(result.test.examples), "test image")
    text, cost = f"Its accuracy is {number(choice.accuracy)} % on {images}.", _cost(choice)
    text += f" It takes {cost}." if cost else ""
    text += f" It keeps {choice.keeps} in use." if choice.keeps else ""
    named = {"keep": "keeping the module as it is", "discard": "no module", "stay": "staying", "retrain": "retraining"}
    gaps = [
        f"{difference(gap(choice, option, result.groups))} compared with {named[option.kind]}"
        for option in result.options
        if option.measured and option is not choice and option.kind in named
    ]
    return [text, f"That is {listing(gaps)}."] if gaps else [text]


def _cost(option: Option) -> str:
    parts = []
    if option.labels:
        parts.append(plural(option.labels, "labelled image"))
    elif option.images:
        parts.append(f"{plural(option.images, 'image')} without labels")
    if option.steps:
        parts.append(plural(option.steps, "step"))
    if option.seconds >= 1:
        parts.append(f"{duration(option.seconds)} on this machine")
    return listing(parts)


def _effect(result: CheckResult, verdict: Verdict) -> str:
    """What the module does by itself on the new backbone."""
    new = result.about["new"]["name"]
    if verdict.lift is None:
        return f"As it is, the module does not fit {new}: {result.option('keep').reason}."
    lift = difference(verdict.lift)
    if verdict.helps == "helps":
        return f"On {new} the module helps: {lift} against no module."
    if verdict.helps == "harms":
        return f"On {new} the module harms: {lift} against no module."
    if verdict.helps == "no effect":
        return f"On {new} the module has no effect: {lift} against no module."
    return f"Whether the module helps on {new} is undecided: {lift} against no module{_needed(result, verdict.lift)}."


def _needed(result: CheckResult, lift: Measured) -> str:
    """About how many test images would decide it, if the difference is as large as it looks."""
    if abs(lift.value) < 0.5:
        return ""
    half = (lift.high - lift.low) / 2
    needed = math.ceil(len(result.test.examples) * (half / abs(lift.value)) ** 2 / 50) * 50
    return f"; if that is its size, about {count(needed)} test images would decide"


def _not_measured(result: CheckResult) -> list[str]:
    """Plain options without predictions, with the reason."""
    return [
        f"Not measured: {option.label}. {option.reason[:1].upper()}{option.reason[1:]}."
        for option in result.options
        if not option.measured and option.kind in ("stay", "retrain")
    ]


NO_FORECAST = (
    "The lift is not forecast: on data sets that it was not fitted on, a forecast from such agreement was further off than "
    "the guess that there is none (docs/check.md)."
)


def _without_labels(result: CheckResult) -> list[str]:
    old, new, found = result.about["old"]["name"], result.about["new"]["name"], result.values
    told = [f"{plural(len(result.test.examples), 'image')} without labels tell what changes, not what is right."]
    if "agreement" in found:
        told.append(f"With the module, {old} and {new} agree on {rate(found['agreement'])} of them;")
        told[-1] += f" without it, on {rate(found['zero_shot_agreement'])}."
    keep = result.option("keep")
    if not keep.measured:
        told.append(f"As it is, the module does not fit {new}: {keep.reason}.")
    if "module_changes" in found:
        told.append(f"On {new} the module changes {rate(found['module_changes'])} of the answers")
        before = found.get("module_changes_old")
        told[-1] += f"; on {old}, {rate(before)}." if before else "."
    return [*told, NO_FORECAST]


def cell(value: Measured | None, *, sign: bool = False) -> str:
    """A value for a table."""
    if value is None or not math.isfinite(value.value):
        return DASH
    text = signed if sign else number
    return f"{text(value.value)} [{text(value.low)}, {text(value.high)}]"
