"""`--log-file`: one file for all runs of a scheduled job, and what it may not touch."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import LINE_TIME, Folder, dptn

from dptn_cli import __version__


def logged(path: Path) -> list[str]:
    """The lines of a log, without their times, which every line has."""
    lines = path.read_text().splitlines()
    assert all(LINE_TIME.match(f"{line} ") for line in lines), lines
    return [LINE_TIME.sub("", line, count=1) for line in lines]


def without_durations(lines: list[str]) -> list[str]:
    return [re.sub(r" after \d+ (s|min)\.", " after N s.", line) for line in lines]


@pytest.mark.parametrize("silence", ["--quiet", "--json"])
def test_runs_append_what_they_say(folder: Folder, tmp_path: Path, silence: str) -> None:
    log = tmp_path / "new" / "dptn.log"
    (folder.path / "3.png").write_bytes(b"none")
    result = folder.transfer(silence, "--log-file", log)
    assert result.exit_code == 1
    first = without_durations(logged(log))
    assert first[0] == f"dptn {__version__} transfer"
    assert {"planned: 12", "done: 9", "failed: 3", f"results: {folder.out}", "Failed:"} <= {*first}
    assert any(re.fullmatch(r"  3\.png: .*\(3 items\)", line) for line in first)
    assert first[-1] == "Ended with exit code 1 after N s."
    folder.pairs.write_text("from,to\n0.png,1.png\n0.png,1.png\n0.png,9.png\n")
    assert folder.transfer(silence, "--log-file", log).exit_code == 2
    lines = without_durations(logged(log))
    assert lines[: len(first)] == first
    assert "Error: 2 problems, nothing was started:" in lines
    assert any(line.startswith(f"  - {folder.pairs}, line 3: duplicate of") for line in lines)
    assert lines[-1] == "Ended with exit code 2 after N s."


def test_wrong_use_is_logged_too(folder: Folder, tmp_path: Path) -> None:
    log = tmp_path / "dptn.log"
    for more in (["--limit", 0], ["--no-such-option"], ["--fit", "none"]):
        assert folder.transfer("--log-file", log, *more).exit_code == 2
    assert folder.transfer(f"--log-file={log}", "--shard", "x").exit_code == 2
    errors = logged(log)
    assert len(errors) == 4
    assert all(line.startswith("Error: ") and "transfer --help" in line for line in errors)


def test_a_defect_leaves_its_traceback(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("dptn_cli.cli.transfer.read_model", broken)
    log = tmp_path / "dptn.log"
    assert folder.transfer("--log-file", log, "--quiet").exit_code == 70
    lines = logged(log)
    assert "Traceback (most recent call last):" in lines
    assert "RuntimeError: unforeseen" in lines
    assert lines[-1].startswith("Ended with exit code 70")


def test_names_cannot_forge_or_break_lines(folder: Folder, tmp_path: Path) -> None:
    log = tmp_path / "dptn.log"
    name = os.fsdecode(b"gone\x1b[2J\r\xff.csv")
    assert folder.transfer("--pairs", tmp_path / name, "--log-file", log).exit_code == 2
    assert "gone\\x1b[2J\\x0d\\udcff.csv: No such file" in log.read_text()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("photos", "is a folder"),
        ("photos/0.png", "exists and is no log"),
        ("photos/0.png/dptn.log", "cannot be used as a log"),
        ("photos/keypoints.csv", ".csv is for data"),
        ("notes", "exists and is no log"),
        ("list.txt", "another option names this file"),
        ("pipe", "not a regular file"),
        ("out/manifest.jsonl", ".jsonl is for data"),
        ("x" * 300, "File name too long"),
        ("s3://bucket/dptn.log", "a URL cannot be used here"),
    ],
)
def test_what_is_no_log_is_left_alone(
    folder: Folder, place: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.path.parent)
    os.mkfifo("pipe")
    Path("notes").write_text('{"key": 1}\n')
    folder.pairs.rename("list.txt")
    names = sorted(folder.path.parent.rglob("*"))
    before = [path.read_bytes() for path in names if path.is_file()]
    result = folder.transfer(
        "--pairs", "list.txt", "--images", folder.path, "--log-file", place, "--quiet"
    )
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert message in line
    assert sorted(folder.path.parent.rglob("*")) == names
    assert [path.read_bytes() for path in names if path.is_file()] == before


def test_a_log_of_other_programs_is_continued(tmp_path: Path) -> None:
    log = tmp_path / "nightly.log"
    log.write_text("starting the nightly job\n")
    assert dptn("prepare", "own", tmp_path, "-o", tmp_path, "--log-file", log).exit_code == 2
    first, second, *_ = log.read_text().splitlines()
    assert first == "starting the nightly job"
    assert second.endswith(f" dptn {__version__} prepare own")


def test_a_disk_that_fills_up_does_not_stop_the_work(folder: Folder, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount: list[str | Path] = [
        "unshare",
        "-m",
        "sh",
        "-c",
        'mount -t tmpfs -o size=4k log "$0" && exec "$@"',
        disk,
    ]
    if subprocess.run([*mount, "true"], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "dptn_cli",
        "transfer",
        "--pairs",
        folder.pairs,
        "-q",
    ]
    command += ["--model", folder.model, "-o", folder.out, "--log-file", disk / "dptn.log"]
    fill = 'head -c 4000 /dev/zero | tr "\\0" "\\n" > "$0"; "$@"; code=$?; cat "$0" >&2; exit $code'
    result = subprocess.run(
        [*mount, "sh", "-c", fill, disk / "dptn.log", *command], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.count(f"{disk}/dptn.log: messages are lost: No space left on device") == 1
    assert f"dptn {__version__} transfer" in result.stderr
    assert len(folder.results()) == 12
