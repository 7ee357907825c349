"""The report in a real browser, from disk and without a network: it sorts, complains of nothing and asks for nothing."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmark import compat
from benchmark.method import Info
from benchmark.report import About, write

pytest.importorskip("selenium")
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium and chromedriver")

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --window-size=1280,1000"
)
REUSE = {"zero": 50.0, "alpha": 9.5, "beta": 70.25, "gamma": 61.0, "delta": math.nan}
HEADER = "table.headline th[data-column='7']"


def rows() -> pd.DataFrame:
    """One pair, one data set, two seeds; delta does not fit."""
    found: list[dict[str, Any]] = []
    for method, reuse in REUSE.items():
        for seed in (1, 2):
            for strategy in ("old", "reuse"):
                row = dict.fromkeys(compat.COLUMNS, "") | {"pair": "v1->v2", "old": "v1", "new": "v2", "method": method}
                row |= {"dataset": "icons", "protocol": "base-to-new", "split": "H", "shots": 4, "seed": seed}
                row |= {"config": "default", "strategy": strategy, "metric": "accuracy", "n": 10, "status": "ok"}
                value = reuse + seed / 10 if strategy == "reuse" else 40.0
                unfit = {} if math.isfinite(value) else {"status": "unfit", "reason": "too wide", "split": "base"}
                found.append(row | {"value": value} | unfit)
    return pd.DataFrame(found, columns=compat.COLUMNS)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    folder = tmp_path_factory.mktemp("report")
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in [*FLAGS.split(), f"--user-data-dir={folder / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=str(DRIVER)))
    page = folder / "compat.html"
    runs = pd.DataFrame(columns=["kind", "method", "config", "status", "seconds", "peak_mb", "parameters"])
    methods = {name: Info(name, name.title(), "-", ("text",), "shallow", control=name == "zero") for name in REUSE}
    about = About("test", "2025-01-01", [("v1", "v2")], [], ["base-to-new"], [1, 2], "small", zero_shot="zero")
    write(page, rows(), runs, about, methods, {})
    browser.get("about:blank")
    browser.get_log("performance")  # what the browser's own start page asked for
    browser.get(page.as_uri())
    yield browser
    browser.quit()


def names(driver: webdriver.Chrome, body: str = "sorted") -> list[str]:
    cells = driver.find_elements(By.CSS_SELECTOR, f"table.headline tbody.{body} th[scope=row]")
    return [cell.text.split("\n")[0] for cell in cells]


def sort_state(driver: webdriver.Chrome) -> list[str | None]:
    headers = driver.find_elements(By.CSS_SELECTOR, "table.headline th[aria-sort]")
    return [header.get_attribute("aria-sort") for header in headers]


def test_starts_with_the_best(driver: webdriver.Chrome) -> None:
    assert names(driver) == ["Beta", "Gamma", "Alpha", "Delta"]
    assert sort_state(driver) == ["descending"]


def test_click_sorts_both_ways_and_missing_stays_last(driver: webdriver.Chrome) -> None:
    button = driver.find_element(By.CSS_SELECTOR, f"{HEADER} button")
    button.click()
    assert (names(driver), sort_state(driver)) == (["Alpha", "Gamma", "Beta", "Delta"], ["ascending"])
    button.click()
    assert (names(driver), sort_state(driver)) == (["Beta", "Gamma", "Alpha", "Delta"], ["descending"])
    assert names(driver, "control") == ["Zero"]


def test_keyboard_sorts_by_name(driver: webdriver.Chrome) -> None:
    driver.find_element(By.CSS_SELECTOR, "table.headline th[data-column='0'] button").send_keys(Keys.ENTER)
    assert names(driver) == ["Alpha", "Beta", "Delta", "Gamma"]
    driver.find_element(By.CSS_SELECTOR, "table.headline th[data-column='0'] button").send_keys(Keys.SPACE)
    assert names(driver) == ["Gamma", "Delta", "Beta", "Alpha"]


def test_page_is_not_wider_than_a_phone(driver: webdriver.Chrome) -> None:
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    width = driver.execute_script("return document.documentElement.scrollWidth")
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width <= 390


def test_no_requests_and_no_complaints(driver: webdriver.Chrome) -> None:
    assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert [entry for entry in driver.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")] == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [url for url in sent if not url.startswith(("file:", "data:"))] == []
    assert sum(Path(url).name == "compat.html" for url in sent) == 1
