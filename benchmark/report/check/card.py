"""A compatibility card: what a module is, on which backbones it was tested, and with what result, fit for a model hub."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import yaml

from benchmark.analysis.check.gate import Outcome
from benchmark.analysis.check.options import Option
from benchmark.analysis.check.result import CheckResult
from benchmark.report.check import words
from benchmark.report.check.content import content
from benchmark.report.numbers import signed


def card(result: CheckResult, outcomes: Sequence[Outcome], saved: Option | None, files: Sequence[str], today: str) -> str:
    """The card as Markdown with a YAML header.

    Args:
        result: The check.
        outcomes: Of its conditions.
        saved: The option whose module is in the same folder; None if there is none.
        files: Names of its files there.
        today: The date, as YYYY-MM-DD.
    """
    told, about = content(result, outcomes), result.about
    lines = ["---", yaml.safe_dump(_header(told, saved, today), sort_keys=False, allow_unicode=True).strip(), "---", ""]
    lines += [f"# {about['module']['title']} for {about['new']['name']}", ""]
    lines += [words.headline(result), ""]
    lines += [f"- {sentence}" for sentence in told["sentences"]]
    if saved is not None:
        choice = result.verdict.choice if result.verdict else None
        what = "the advised option" if saved is choice else "the best option that is a module by itself"
        lines += [
            "",
            f"The module in this folder is {words.quoted(saved)}, {what}: {', '.join(f'`{name}`' for name in files)}.",
        ]
    else:
        lines += ["", "There is no module in this folder: no option but the original one is a module by itself."]
    lines += ["", *_table(result), "", *_classes(result)]
    lines += ["## Provenance", ""]
    lines += [f"- {name}: {value}" for name, value in _facts(told).items() if value]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def today() -> str:
    """The date of the card."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _header(told: dict[str, Any], saved: Option | None, date: str) -> dict[str, Any]:
    new, data, verdict = told["new"], told["data"], told["verdict"] or {}
    accuracy = None if saved is None or saved.predictions is None else round(saved.accuracy, 2)
    metrics = [] if accuracy is None else [{"type": "accuracy", "value": accuracy, "name": "accuracy, %"}]
    return {
        "library_name": "clip-compat-bench",
        "tags": ["clip", told["module"]["method"]],
        "base_model": new.get("model") or new["name"],
        "model-index": [
            {
                "name": told["module"].get("file") or told["module"]["method"],
                "results": [
                    {
                        "task": {"type": "zero-shot-image-classification"},
                        "dataset": {"name": data["name"], "type": data["name"]},
                        "metrics": metrics,
                    }
                ],
            }
        ],
        "compatibility": {
            "verdict": verdict.get("choice"),
            "saved": None if saved is None else saved.name,
            "old": {"name": told["old"]["name"], "sha256": told["old"]["digest"]},
            "new": {"name": new["name"], "sha256": new["digest"]},
            "lift": told["values"].get("lift"),
            "negative_flips": told["values"].get("negative_flips"),
            "test_images": data["test_images"],
            "date": date,
        },
    }


def _table(result: CheckResult) -> list[str]:
    if not result.labelled:
        return []
    lines = ["| option | accuracy, % | state |", "|---|---|---|"]
    verdict = result.verdict
    for row, option in zip(result.table.itertuples(), result.options, strict=True):
        if option.measured:
            state = "advised" if verdict and option is verdict.choice else "control" if option.control else ""
            accuracy = f"{option.accuracy:.1f} [{row.low:.1f}, {row.high:.1f}]"
            lines.append(f"| {option.label} | {accuracy} | {state} |")
    return lines


def _classes(result: CheckResult) -> list[str]:
    """The classes that lose most when the module is kept as it is."""
    if result.flips is None:
        return []
    worst = [row for row in result.flips.by_class if row.net < 0][:5]
    if not worst:
        return ["No class loses if the module is kept as it is.", ""]
    names = ", ".join(f"{result.test.classes[row.label]} {signed(row.net)} points" for row in worst)
    return [f"Classes that lose most if the module is kept as it is: {names}.", ""]


def _facts(told: dict[str, Any]) -> dict[str, str]:
    module, data = told["module"], told["data"]
    return {
        "module": " ".join(filter(None, (module.get("file"), module.get("sha256") and f"(SHA-256 `{module['sha256']}`)"))),
        "method": f"`{module['method']}`",
        "old backbone": f"{told['old']['name']} (SHA-256 of its weights `{told['old']['digest']}`)",
        "new backbone": f"{told['new']['name']} (SHA-256 of its weights `{told['new']['digest']}`)",
        "data": f"{data['name']}: {data['test_images']} test images of {len(data['classes'])} classes",
        "command": f"`{told['command']}`" if told.get("command") else "",
        "versions": ", ".join(f"{name} {version}" for name, version in told["versions"].items()),
    }
