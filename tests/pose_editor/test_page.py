"""The page of `dptn pose` in headless Chromium."""

import base64
import contextlib
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import open_chromium
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from support import FIGURES, FIGURES_MODEL, dptn, read_pixels

from dptn_cli.keypoints import JOINT_NAMES, PoseFiles

pytestmark = pytest.mark.browser

WRIST, ELBOW, SHOULDER = (JOINT_NAMES.index(f"right {n}") for n in ("wrist", "elbow", "shoulder"))


@dataclass
class Page:
    """The page in a browser.

    Attributes:
        browser: the driver.
        folder: the folder in which `dptn pose` runs.
    """

    browser: Any
    folder: Path

    def run(self, script: str, *arguments: object) -> Any:
        return self.browser.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def joint(self, index: int) -> Any:
        return self.find(f'[data-joint="{index}"]')

    def place(self, index: int) -> tuple[float, float]:
        """Return where a joint is: (x, y), pixels of the source image."""
        dot = self.find(f'[data-joint="{index}"] .dot')
        return float(dot.get_attribute("cx")) - 0.5, float(dot.get_attribute("cy")) - 0.5

    def shown(self) -> str:
        return self.find("#result").get_attribute("src") or ""

    def wait_for_image(self, before: str = "") -> str:
        """Wait until another image than `before` is shown, and nothing is being generated."""
        pane = self.find("#result-pane")
        self.wait(
            lambda: self.shown() not in ("", before) and pane.get_attribute("aria-busy") == "false"
        )
        return self.shown()

    def wait(self, condition: Any) -> None:
        WebDriverWait(self.browser, 60).until(lambda _: condition())

    def save_image(self, path: Path) -> None:
        """Write the image that the page shows."""
        data = self.run(
            """const image = document.getElementById("result");
            const canvas = document.createElement("canvas");
            canvas.width = image.naturalWidth;
            canvas.height = image.naturalHeight;
            canvas.getContext("2d").drawImage(image, 0, 0);
            return canvas.toDataURL("image/png").split(",")[1];"""
        )
        path.write_bytes(base64.b64decode(data))

    def drag(self, index: int, right: int, down: int) -> None:
        """Drag a joint by some pixels of the screen, in steps."""
        chain = ActionChains(self.browser, duration=20).click_and_hold(self.joint(index))
        for _ in range(4):
            chain.move_by_offset(right // 4, down // 4)
        chain.release().perform()

    def click(self, selector: str) -> None:
        self.find(selector).click()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """`dptn pose` as its own process: its folder, and the address that it prints."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copy(FIGURES / "images" / "p0000_0.png", folder / "photo.png")
    lines = (FIGURES / "keypoints.csv").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("p0000_0.png"))
    (folder / "keypoints.csv").write_text(
        f"{lines[0]}\n{line.replace('p0000_0.png', 'photo.png')}\n"
    )
    command = [sys.executable, "-m", "dptn_cli", "pose", "photo.png", "-o", "poses",
               "--model", str(FIGURES_MODEL), "--no-browser"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)
    assert process.stdout is not None
    yield folder, process.stdout.readline().strip()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0


@pytest.fixture
def page(browser: Any, served: tuple[Path, str]) -> Iterator[Page]:
    """The page, newly opened."""
    folder, url = served
    for log in ("browser", "performance"):
        browser.get_log(log)  # what earlier tests left there
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.set_window_size(1400, 1000)
    browser.get(url)
    opened = Page(browser, folder)
    opened.wait_for_image()
    yield opened
    opened.run("window.addEventListener('beforeunload', (e) => e.stopImmediatePropagation(), true)")


def bone(page: Page, first: int, second: int) -> float:
    return float(np.hypot(*np.subtract(page.place(first), page.place(second))))


def test_a_dragged_wrist_changes_the_image_and_what_is_saved_gives_it_again(page: Page) -> None:
    before, arm = page.shown(), (bone(page, SHOULDER, ELBOW), bone(page, ELBOW, WRIST))
    assert page.find("#name").get_attribute("value").startswith("pose")
    page.drag(WRIST, -60, -160)
    page.wait_for_image(before)
    assert bone(page, SHOULDER, ELBOW) == pytest.approx(arm[0], abs=0.01)
    assert bone(page, ELBOW, WRIST) == pytest.approx(arm[1], abs=0.01)

    page.find("#name").clear()
    page.find("#name").send_keys("raised arm")
    page.click("#save button")
    page.wait(lambda: "Saved as" in page.find("#status").text)
    page.save_image(page.folder / "shown.png")
    found = PoseFiles(page.folder / "poses" / "raised arm.json").find("raised arm.png")
    assert found is not None
    np.testing.assert_allclose(found.pose[WRIST][::-1], page.place(WRIST), atol=1e-3)

    with contextlib.chdir(page.folder):
        result = dptn(*shlex.split(page.find("#command").text)[1:])
    assert result.exit_code == 0, result.stderr
    (path,) = (page.folder / "results").glob("*_vis.png")
    assert np.abs(read_pixels(path) - read_pixels(page.folder / "shown.png")).max() <= 1


def test_undo_redo_reset_and_mirror(page: Page) -> None:
    start = page.place(WRIST)
    page.drag(WRIST, -40, -100)
    moved = page.place(WRIST)
    assert moved != start
    page.click("#undo")
    assert page.place(WRIST) == start
    assert not page.find("#undo").is_enabled()
    page.click("#redo")
    assert page.place(WRIST) == moved
    page.find("body").send_keys(Keys.CONTROL, "z")
    assert page.place(WRIST) == start
    left = page.place(JOINT_NAMES.index("left wrist"))
    page.click("#mirror")
    width = page.run("return document.getElementById('target').viewBox.baseVal.width")
    assert page.place(WRIST) == pytest.approx((width - 1 - left[0], left[1]))
    page.click("#reset")
    assert page.place(WRIST) == start


def test_the_keyboard_alone(page: Page) -> None:
    before, start = page.shown(), page.place(WRIST)
    page.run("arguments[0].focus()", page.joint(WRIST))
    active = page.browser.switch_to.active_element
    active.send_keys(Keys.ARROW_UP)
    for _ in range(8):
        page.browser.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
    assert page.place(WRIST)[0] < start[0]
    assert page.browser.switch_to.active_element.get_attribute("aria-label") == "right wrist"
    assert page.find("#status").text.startswith("right wrist, ")
    image = page.wait_for_image(before)
    page.browser.switch_to.active_element.send_keys(Keys.DELETE)
    page.wait_for_image(image)
    assert not page.joint(WRIST).is_displayed()
    page.click("summary")
    box = page.find(f'#joints input[value="{WRIST}"]')
    assert not box.is_selected()
    box.send_keys(Keys.SPACE)
    assert page.joint(WRIST).is_displayed()


def test_lengths_change_while_shift_is_held(page: Page) -> None:
    arm = bone(page, ELBOW, WRIST)
    elbow = page.place(ELBOW)
    chain = ActionChains(page.browser).key_down(Keys.SHIFT).click_and_hold(page.joint(WRIST))
    chain.move_by_offset(-60, 0).release().key_up(Keys.SHIFT).perform()
    assert page.place(ELBOW) == elbow
    assert abs(bone(page, ELBOW, WRIST) - arm) > 3


def test_files_and_presets(page: Page) -> None:
    image, start = page.shown(), page.place(WRIST)
    page.find("#load").send_keys(str(FIGURES / "keypoints.csv"))
    page.wait(lambda: "24 poses" in page.find("#status").text)
    image = page.wait_for_image(image)
    broken = page.folder / "notes.json"
    broken.write_text("{}")
    page.find("#load").send_keys(str(broken))
    page.wait(lambda: "notes.json" in page.find("#status").text)
    page.find("#presets").send_keys("hands on hips")
    page.click("#use")
    page.wait_for_image(image)
    assert page.place(WRIST) != start
    assert page.find("#status").text == "hands on hips"


def test_the_newest_pose_wins_and_nothing_waits_in_a_queue(page: Page) -> None:
    page.run(
        """window.requests = { now: 0, most: 0, bodies: [] };
        const ask = window.fetch;
        window.fetch = async (url, options) => {
          if (url !== "generate") return ask(url, options);
          window.requests.now += 1;
          window.requests.most = Math.max(window.requests.most, window.requests.now);
          window.requests.bodies.push(options.body);
          const answer = await ask(url, options);
          await new Promise((done) => setTimeout(done, 200));
          window.requests.now -= 1;
          return answer;
        };"""
    )
    before = page.shown()
    chain = ActionChains(page.browser, duration=10).click_and_hold(page.joint(WRIST))
    for _ in range(40):
        chain.move_by_offset(-1, -3)
    chain.release().perform()
    page.wait_for_image(before)
    requests = page.run("return window.requests")
    assert requests["most"] == 1
    assert 2 <= len(requests["bodies"]) < 20
    assert json.loads(requests["bodies"][-1])["joints"][WRIST] == pytest.approx(page.place(WRIST))


def test_a_finger_drags_a_joint_and_a_second_one_changes_nothing(page: Page) -> None:
    start, before = page.place(WRIST), page.shown()
    x, y = page.run(
        """const box = arguments[0].querySelector(".dot").getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2];""",
        page.joint(WRIST),
    )

    def touch(kind: str, *points: tuple[float, float]) -> None:
        fingers = [
            {"x": x + right, "y": y + down, "id": i} for i, (right, down) in enumerate(points)
        ]
        page.browser.execute_cdp_cmd(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers}
        )

    touch("touchStart", (0, 0))
    touch("touchMove", (-20, -40))
    touch("touchStart", (-20, -40), (60, 60))
    touch("touchMove", (-40, -120), (90, 90))
    touch("touchEnd")
    page.wait_for_image(before)
    moved = page.place(WRIST)
    assert moved[1] < start[1] - 10
    page.click("#undo")
    assert page.place(WRIST) == start, "one step"


def test_joints_outside_the_image_can_be_grasped(page: Page) -> None:
    page.click("#keep")
    page.drag(WRIST, -360, 0)
    outside = page.place(WRIST)
    assert outside[0] < -1
    page.drag(WRIST, 120, 0)
    assert page.place(WRIST)[0] > outside[0] + 5


def test_light_and_dark(page: Page) -> None:
    def colour(scheme: str) -> str:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        return str(page.find("body").value_of_css_property("background-color"))

    light, dark = (re.findall(r"\d+", colour(scheme))[:3] for scheme in ("light", "dark"))
    assert min(map(int, light)) > 200
    assert max(map(int, dark)) < 60


def test_nothing_is_fetched_from_elsewhere_and_the_console_is_silent(page: Page) -> None:
    assert page.browser.get_log("browser") == []
    messages = (entry["message"] for entry in page.browser.get_log("performance"))
    sent = "".join(message for message in messages if "requestWillBeSent" in message)
    hosts = set(re.findall(r'"url":"https?://([^/"]+)/', sent))
    assert len({host.partition(":")[0] for host in hosts}) == 1
    assert all(host.startswith("127.0.0.1:") for host in hosts)


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_wider_than_the_window(page: Page, width: int) -> None:
    page.browser.set_window_size(width, 900)
    page.click("#save button")
    page.wait(lambda: page.find("#saved").is_displayed())
    wide = page.run("return document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0


def test_limbs_keep_their_lengths_in_every_move(page: Page) -> None:
    """Random poses and moves, in the page's own geometry."""
    worst = page.browser.execute_async_script(
        """const done = arguments[0];
        import(location.href + "skeleton.js").then(({ moveJoint }) => {
          const bones = [[2, 3], [3, 4], [5, 6], [6, 7], [8, 9], [9, 10], [11, 12], [12, 13],
            [1, 2], [1, 5], [1, 8], [1, 11], [0, 1], [0, 14], [0, 15], [14, 16], [15, 17]];
          const length = (p, [a, b]) => Math.hypot(p[a][0] - p[b][0], p[a][1] - p[b][1]);
          let seed = 1;
          const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
          const point = () => [random() * 176, random() * 256];
          let worst = 0;
          for (let round = 0; round < 2000; round += 1) {
            const pose = Array.from({ length: 18 }, point);
            const moved = moveJoint(pose, round % 18, point(), true);
            for (const bone of bones) {
              worst = Math.max(worst, Math.abs(length(pose, bone) - length(moved, bone)));
            }
          }
          done(worst);
        });"""
    )
    assert worst < 0.01


def test_a_missing_model_is_told_and_poses_can_be_saved(browser: Any, tmp_path: Path) -> None:
    Image.open(FIGURES / "images" / "p0000_0.png").save(tmp_path / "photo.png")
    command = [sys.executable, "-m", "dptn_cli", "pose", "photo.png", "-o", "poses",
               "--model", "none.onnx", "--no-browser"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    browser.get(process.stdout.readline().strip())
    page = Page(browser, tmp_path)
    page.wait(lambda: "none.onnx" in page.find("#problem").text)
    page.click("#save button")
    page.wait(lambda: "Saved as" in page.find("#status").text)
    assert (tmp_path / "poses" / "pose.json").is_file()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
