"""Writes what a check has found: a page, JSON, and JUnit XML for continuous integration."""

from __future__ import annotations

import json as json_format
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from benchmark.analysis.check.gate import Outcome
from benchmark.analysis.check.result import CheckResult
from benchmark.config.files import write_atomically
from benchmark.report.check import content, words
from benchmark.report.check.page import page


def write(
    result: CheckResult, outcomes: Sequence[Outcome], *, report: Path | None, json: Path | None, junit: Path | None
) -> Iterator[tuple[str, Path]]:
    """Write the files that are asked for; yields what each is, and where, once it is there."""
    if report is not None:
        write_atomically(report, page(result, outcomes).encode())
        yield "report", report
    if json is not None:
        text = json_format.dumps(content.content(result, outcomes), indent=1, allow_nan=False)
        write_atomically(json, text.encode())
        yield "json", json
    if junit is not None:
        write_atomically(junit, junit_xml(result, outcomes))
        yield "junit", junit


def junit_xml(result: CheckResult, outcomes: Sequence[Outcome]) -> bytes:
    """One test case per condition, which fails if it holds; the headline as one that always passes."""
    failures = sum(outcome.holds for outcome in outcomes)
    suite = ElementTree.Element(
        "testsuite", name="clip-compat check", tests=str(len(outcomes) + 1), failures=str(failures), errors="0", skipped="0"
    )
    name = f"{result.about['old']['name']} -> {result.about['new']['name']}"
    told = ElementTree.SubElement(suite, "testcase", classname="check", name=name)
    ElementTree.SubElement(told, "system-out").text = "\n".join([words.headline(result), *words.sentences(result)])
    for outcome in outcomes:
        case = ElementTree.SubElement(suite, "testcase", classname="check", name=f"not {outcome.condition.text}")
        if outcome.holds:
            failure = ElementTree.SubElement(case, "failure", message=outcome.found)
            failure.text = f"{outcome.condition.text}: {outcome.found}"
    return ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
