"""The HTML report in headless Chromium: it shows and sorts, and fetches nothing."""

import os
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from chromium import open_chromium
from evaluation_folders import Scene, evaluate, make_scene
from evaluation_folders import without_weights as without_weights
from selenium.webdriver.common.by import By

HOSTILE = "<img src=x onerror=alert(1)>"


pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Twelve pairs: one has markup for a name, another one fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
        scene = make_scene(tmp_path_factory.mktemp("scene"), pairs=12)
        os.rename(scene.results / "a3_2_b3_vis.png", scene.results / f"{HOSTILE}_2_b3_vis.png")
        (scene.truth / "b5.png").write_bytes(b"torn")
        result = scene.evaluate()
    assert result.exit_code == 1, result.stderr
    return scene


@pytest.fixture(scope="module")
def browser(scene: Scene) -> Iterator[Any]:
    """Chromium with the report open. Without Chromium, these tests fail."""
    with open_chromium() as driver:
        driver.get((scene.report / "report.html").as_uri())
        yield driver


def texts(browser: Any, selector: str) -> list[str]:
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, selector)]


def test_the_console_is_silent_and_nothing_is_fetched(browser: Any) -> None:
    assert browser.get_log("browser") == []
    messages = (entry["message"] for entry in browser.get_log("performance"))
    sent = "".join(message for message in messages if "requestWillBeSent" in message)
    urls = re.findall(r'"url":"([^"]{5})', sent)
    assert "file:" in urls
    assert set(urls) <= {"file:", "data:"}


def test_the_tables_are_shown(browser: Any, scene: Scene) -> None:
    paper = scene.document()["protocols"]["paper"]  # type: ignore[index]
    assert f"{paper['psnr']:.4f}" in texts(browser, "#scores td.value")
    assert len(texts(browser, "#published tbody tr")) == 11
    assert "better" in " ".join(texts(browser, "#scores tbody td"))
    assert "1 failed" in texts(browser, ".facts li")


def test_each_pairwise_metric_has_a_chart(browser: Any) -> None:
    charts = browser.find_elements(By.CSS_SELECTOR, "figure.chart")
    assert len(charts) == 7
    for chart in charts:
        heights = [rect.size["height"] for rect in chart.find_elements(By.CSS_SELECTOR, "svg rect")]
        assert max(heights) > 30


def test_the_worst_and_the_best_pairs_are_shown_as_images(browser: Any) -> None:
    for group in (".worst", ".best"):
        images = browser.find_elements(By.CSS_SELECTOR, f"{group} img")
        assert len(images) >= 10
        for image in images:
            assert image.get_property("naturalHeight") == 128
            assert image.size["height"] > 50
    scores = [
        [float(text.split()[0]) for text in texts(browser, f"{group} figcaption")]
        for group in (".worst", ".best")
    ]
    assert scores[0] == sorted(scores[0])  # SSIM: the worst have the lowest.
    assert max(scores[0]) < min(scores[1])


def test_the_pair_table_sorts_both_ways_and_filters(browser: Any) -> None:
    def column(number: int) -> list[str]:
        return texts(browser, f"#pairs tbody td:nth-child({number})")

    assert len(column(1)) == 11
    title, psnr = (browser.find_elements(By.CSS_SELECTOR, "#pairs thead button")[i] for i in (0, 3))
    assert psnr.text == "paper\npsnr"
    psnr.click()
    ascending = [float(value) for value in column(4)]
    assert ascending == sorted(ascending)
    assert len(set(ascending)) > 5
    psnr.click()
    assert [float(value) for value in column(4)] == ascending[::-1]
    title.click()
    assert column(1) == sorted(column(1))
    field = browser.find_element(By.ID, "filter")
    field.send_keys("a11_")
    assert column(1) == ["a11_2_b11_vis.png"]
    assert "1 pair, page 1 of 1" in texts(browser, "#pairs-status")


def test_markup_in_a_name_is_shown_as_text(browser: Any) -> None:
    assert browser.find_elements(By.CSS_SELECTOR, "img[src='x']") == []
    browser.find_element(By.ID, "filter").clear()
    assert HOSTILE in browser.find_element(By.TAG_NAME, "body").text


def test_the_file_names_nothing_outside_itself(scene: Scene) -> None:
    urls: list[str] = []

    class UrlCollector(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            urls.extend(value or "" for name, value in attrs if name in ("src", "href"))

    text = (scene.report / "report.html").read_text()
    UrlCollector().feed(text)
    assert urls
    assert all(url.startswith("data:") for url in urls)
    assert "NaN" not in text


@pytest.fixture(scope="module")
def several(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two runs; one has a long name without spaces and half of the pairs."""
    other = tmp_path_factory.mktemp("several") / f"{HOSTILE}{'long_' * 30}"
    shutil.copytree(scene.results, other)
    for number in range(6, 12):
        (other / f"a{number}_2_b{number}_vis.png").unlink()
    report = other.parent / "report"
    evaluate(scene.results, other, "--truth", scene.truth, "-o", report)
    return report / "report.html"


@pytest.mark.parametrize("colors", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1400])
def test_the_page_fits_the_window(browser: Any, several: Path, width: int, colors: str) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    scheme = {"name": "prefers-color-scheme", "value": colors}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get(several.as_uri())
    overflow = "const e = document.documentElement; return e.scrollWidth - e.clientWidth"
    assert browser.execute_script(overflow) == 0
    inside = "return [...document.querySelectorAll('img, svg, figure')].every((element) => {"
    inside += "const box = element.getBoundingClientRect();"
    inside += "return box.left >= 0 && box.right <= innerWidth && box.width > 50})"
    assert browser.execute_script(inside)
    background = "return getComputedStyle(document.body).backgroundColor"
    assert (browser.execute_script(background) == "rgb(255, 255, 255)") == (colors == "light")


def test_a_printed_page_is_light_and_whole(browser: Any, several: Path) -> None:
    a4_px = 718  # the width between the margins
    metrics = {"width": a4_px, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    scheme = {"name": "prefers-color-scheme", "value": "dark"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": [scheme]})
    browser.get(several.as_uri())
    color = "return getComputedStyle(document.body).backgroundColor"
    assert browser.execute_script(color) == "rgb(255, 255, 255)"
    assert not browser.find_element(By.ID, "filter").is_displayed()
    widths = "return [...document.querySelectorAll('table')].map((t) => t.clientWidth)"
    assert max(browser.execute_script(widths)) <= a4_px
