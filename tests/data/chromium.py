"""Headless Chromium for the tests of pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from selenium import webdriver


@contextmanager
def open_chromium() -> Iterator[Any]:
    """Start Chromium, with a log of its console and of what it fetches; without it, tests fail."""
    chromedriver = shutil.which("chromedriver")
    assert chromedriver, "these tests drive Chromium: apt-get install chromium chromium-driver"
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(chromedriver))
    driver.set_page_load_timeout(300)
    try:
        yield driver
    finally:
        driver.quit()
