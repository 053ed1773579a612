"""What is told is worth less than what is done: a run outlives whoever reads it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import Folder


def run_whose_output_is(folder: Folder, stdout: int, stderr: int, *more: str) -> int:
    command: list[str | Path] = [sys.executable, "-m", "dptn_cli", "transfer", *more]
    command += ["--pairs", folder.pairs, "--model", folder.model, "-o", folder.out]
    return subprocess.run(command, stdout=stdout, stderr=stderr).returncode


def is_finished(folder: Folder) -> bool:
    counts = json.loads((folder.out / "run.json").read_text())["counts"]
    return bool(counts["done"] == counts["planned"] == len(folder.manifest()) == 12)


@pytest.mark.parametrize("more", [["-v", "--grid"], ["--json"]])
def test_a_reader_that_has_gone(folder: Folder, more: list[str]) -> None:
    """As in `dptn transfer … 2>&1 | head -1`."""
    reads, writes = os.pipe()
    os.close(reads)
    assert run_whose_output_is(folder, writes, writes, *more) == 0
    os.close(writes)
    assert is_finished(folder)
    assert (folder.out / "grids").is_dir() == ("--grid" in more)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("more", ["-v", "--json"])
def test_a_log_on_a_full_disk(folder: Folder, tmp_path: Path, more: str) -> None:
    log = tmp_path / "log"
    with Path("/dev/full").open("w") as full, log.open("w") as writes:
        assert run_whose_output_is(folder, full.fileno(), full.fileno(), more) == 0
        assert is_finished(folder)
        assert run_whose_output_is(folder, full.fileno(), writes.fileno(), more) == 0
    assert "stdout cannot be written: No space left on device" in log.read_text()


def test_names_that_the_terminal_cannot_show(folder: Folder) -> None:
    command: list[str | Path] = [sys.executable, "-m", "dptn_cli", "transfer", "--dry-run"]
    command += ["--pairs", folder.pairs, "--model", folder.model]
    result = subprocess.run(
        [*command, "-o", os.fsencode(folder.out / "\u4eba\udcff")],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert result.returncode == 0, result.stderr
    plain = result.stdout.translate(None, b"| \n")  # the table folds long names
    assert b"\\u4eba\\udcff" in plain
