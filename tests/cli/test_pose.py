"""`dptn pose` on the command line: what it prints, and what stops it before the page is served."""

import contextlib
import io
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import DATA, FIGURES, FIGURES_MODEL, LINE_TIME, dptn, read_pixels

from dptn_cli.inference.arithmetic import MIN_PSNR_DB
from dptn_cli.inference.openvino_model import has_bf16
from dptn_cli.keypoints import Annotations

PERSON = DATA / "rendered_people" / "person_1.jpg"


def start(folder: Path, *arguments: object) -> tuple["subprocess.Popen[str]", str]:
    """Start `dptn pose` in a folder; return the process and the address that it prints."""
    command = [sys.executable, "-m", "dptn_cli", "pose", *arguments, "-o", "poses", "--no-browser",
               "--model", FIGURES_MODEL]  # fmt: skip
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=folder,
    )  # fmt: skip
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def stop(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Press Ctrl-C; return what else was printed."""
    process.send_signal(signal.SIGINT)
    rest, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return rest, said


def state(url: str) -> Any:
    with urllib.request.urlopen(f"{url}state", timeout=60) as answer:
        return json.load(answer)


def ask(url: str, name: str, request: object) -> bytes:
    body = json.dumps(request).encode()
    with urllib.request.urlopen(f"{url}{name}", body, timeout=60) as answer:
        content: bytes = answer.read()
        return content


def test_the_address_is_all_of_stdout_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    process, url = start(tmp_path, PERSON)
    page = state(url)
    assert page["image"] == PERSON.name
    assert sum(joint is not None for joint in page["source_pose"]) >= 12, "detected"
    assert page["start"] == page["source_pose"]
    assert not page["model_problem"]
    rest, said = stop(process)
    assert rest == ""
    assert "Detecting the poses on 1 image without keypoints, with MoveNet" in said
    assert not (tmp_path / "poses").exists(), "nothing was saved"


@pytest.mark.parametrize("kind", ["file", "image"])
def test_the_pose_to_start_from(tmp_path: Path, kind: str) -> None:
    shutil.copytree(FIGURES, tmp_path / "figures")
    images = tmp_path / "figures" / "images"
    keypoints = images.parent / "keypoints.csv"
    lines = keypoints.read_text().splitlines()
    one = tmp_path / "one.csv"
    one.write_text(f"{lines[0]}\nwave.png{lines[9].removeprefix('p0002_0.png')}\n")
    pose = one if kind == "file" else images / "p0002_1.png"
    process, url = start(tmp_path, images / "p0000_0.png", "--pose", pose, "--keypoints", keypoints)
    page = state(url)
    stop(process)
    assert page["start"] != page["source_pose"]
    names = [preset["name"] for preset in page["presets"]]
    assert names[0] == ("wave.png" if kind == "file" else "p0002_1.png")
    assert len(names) > 8


def test_the_shipped_model_says_what_it_knows(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    shutil.copy(FIGURES_MODEL, tmp_path / "models")
    command = [sys.executable, "-m", "dptn_cli", "pose", PERSON, "-o", "poses", "--no-browser"]
    environment = {name: value for name, value in os.environ.items() if name != "DPTN_MODEL"}
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    assert "models/figures.onnx knows drawn figures, not photos" in stop(process)[1]


def test_the_arithmetic_is_decided_by_the_first_image(tmp_path: Path) -> None:
    process, url = start(tmp_path, PERSON, "--provider", "openvino", "--arithmetic", "auto")
    request = {"joints": state(url)["start"], "retarget": "scale", "name": "pose"}
    shown = [ask(url, "generate", request) for _ in range(2)]
    command = shlex.split(json.loads(ask(url, "save", request))["command"])[1:]
    _, said = stop(process)
    note = "Running in bf16: PSNR" if has_bf16() else "Running in fp32, not in bf16: "
    assert said.count(note) == 1, said
    assert shown[0] == shown[1]
    assert "--provider openvino --arithmetic auto" in " ".join(command)
    with contextlib.chdir(tmp_path):
        result = dptn(*command)
    assert result.exit_code == 0, result.stderr
    (path,) = (tmp_path / "results").glob("*_vis.png")
    difference = read_pixels(path) - read_pixels(io.BytesIO(shown[0]))
    # On the page, several threads share the inference, and in bf16 that shows by a few levels.
    assert np.square(difference).mean() < 255**2 / 10 ** (MIN_PSNR_DB / 10)


def test_an_arithmetic_that_cannot_be_had_is_told_at_once(tmp_path: Path) -> None:
    process, url = start(tmp_path, PERSON, "--provider", "cpu", "--arithmetic", "bf16")
    problem = "--arithmetic bf16: bf16 needs --provider openvino"
    page = state(url)
    assert page["model_problem"] == problem
    request = {"joints": page["start"], "retarget": "scale", "name": "pose"}
    assert "command" in json.loads(ask(url, "save", request))
    assert stop(process)[1].count(problem) == 1


def test_several_people_are_told(tmp_path: Path) -> None:
    shutil.copy(DATA / "photos" / "p005_sheet_eight_views.jpg", tmp_path / "crowd.jpg")
    process, _ = start(tmp_path, "crowd.jpg")
    _, said = stop(process)
    assert "1 image shows several people, and the largest is taken: crowd.jpg" in said


def test_an_idle_connection_does_not_hold_up_the_end(tmp_path: Path) -> None:
    process, url = start(tmp_path, PERSON)
    port = int(url.split(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port)) as idle:
        idle.sendall(b"GET")
        assert state(url)["image"] == PERSON.name
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=25) == 0


def test_a_pose_file_of_a_resized_image(tmp_path: Path) -> None:
    """As in `dptn transfer`, keypoints that were made at another size are scaled."""
    shutil.copy(FIGURES / "images" / "p0000_0.png", tmp_path / "photo.png")
    pose = Annotations(FIGURES / "keypoints.csv")["p0000_0.png"]
    person = {"pose_keypoints_2d": [float(v) for y, x in pose for v in (2 * x, 2 * y, 1)]}
    document = {"people": [person], "canvas_width": 176, "canvas_height": 256}
    (tmp_path / "photo.json").write_text(json.dumps(document))
    process, url = start(tmp_path, "photo.png", "--keypoints", "photo.json")
    source = np.array(state(url)["source_pose"])
    stop(process)
    np.testing.assert_allclose(source[:, ::-1], pose, atol=0.6)


def test_what_cannot_be_shown(tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    Image.fromarray(np.full((200, 150, 3), 255, np.uint8)).save(blank)
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(PERSON.read_bytes()[:3000])
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    for arguments, reason in (
        ((tmp_path / "none.jpg",), "none.jpg"),
        ((tmp_path,), "a folder; name one image"),
        ((blank,), "no person"),
        ((torn,), "torn.jpg"),
        ((PERSON, "--pose", blank), "no person"),
        ((PERSON, "--pose", tmp_path / "none.json"), "none.json"),
        ((PERSON, "--port", port), f"--port {port}: Address already in use"),
        ((PERSON, "--port", 80), "--port 80: 0 or from 1,024"),
    ):
        result = dptn("pose", *arguments, "-o", tmp_path / "poses", "--no-browser",
                      "--model", FIGURES_MODEL)  # fmt: skip
        assert result.exit_code == 2, (arguments, result.stderr)
        assert result.stdout == ""
        errors = [line for line in LINE_TIME.sub("", result.stderr).splitlines() if "Error" in line]
        assert len(errors) == 1
        assert reason in errors[0], errors
    taken.close()
    result = dptn("pose", PERSON, "-o", torn, "--no-browser", "--model", FIGURES_MODEL)
    assert result.exit_code == 2
    assert "torn.jpg" in result.stderr
