"""`--json`: one document on stdout whatever happens, and nothing else."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import ROOT, Folder, dptn

STOPPED = {"state": "error", "exit_code": 2, "problems": [], "problems_more": 0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("transfer --json --limit 0", "Invalid value for '--limit'"),
        ("transfer --no-such-option --json", "No such option: --no-such-option"),
        ("transfer --json --pairs", "Option '--pairs' requires an argument"),
        ("transfer --json", "nothing to do: pass --pairs PAIRS.csv"),
        ("transfer --json --pairs none.csv", "none.csv: No such file"),
        ("detect-poses --json", "Missing argument"),
        ("detect-poses none --json", "none"),
        ("evaluate none --json --format latex", "pass either --json or --format, not both"),
        ("evaluate none --json --protocol x", "'x' is not one of"),
        ("export none.pth --json", "Missing option"),
        ("export none.pth -o m.onnx --json", "none.pth: No such file"),
        ("bench --json --seconds x", "Invalid value for '--seconds'"),
        ("bench --json --model none.onnx", "none.onnx"),
        ("doctor --json x", "unexpected extra argument"),
        ("no-such-command --json", "No such command 'no-such-command'"),
    ],
)
def test_an_error_is_a_document(
    arguments: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DPTN_MODEL", str(ROOT / "models" / "figures.onnx"))
    result = dptn(*arguments.split())
    document = json.loads(result.stdout)
    assert message in document.pop("error")
    assert document == STOPPED
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert message in line


def test_a_word_behind_two_dashes_is_no_option(tmp_path: Path) -> None:
    result = dptn("transfer", "--limit", 0, "--", "--json")
    assert (result.exit_code, result.stdout) == (2, "")


def test_every_problem_of_a_list_up_to_a_thousand(folder: Folder) -> None:
    folder.pairs.write_text("from,to\n" + "0.png,1.png\n" * 1503)
    result = folder.transfer("--json")
    document = json.loads(result.stdout)
    assert result.exit_code == document["exit_code"] == 2
    assert len(document["problems"]) == 1000
    assert document["problems"][0].startswith(f"{folder.pairs}, line 3: ")
    assert document["problems_more"] == 502


def test_failed_items_with_their_reasons(folder: Folder) -> None:
    (folder.path / "2.png").write_bytes(b"none")
    result = folder.transfer("--json", "--format", "jpg")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert {(f["source"], f["target"], f["output"]) for f in document["failed"]} == {
        ("2.png", f"{n}.png", f"2_2_{n}_vis.jpg") for n in (0, 1, 3)
    }
    manifest = {line["output"]: line["reason"] for line in folder.manifest()}
    assert all(f["reason"] == manifest[f["output"]] != "" for f in document["failed"])
    assert document["failed_more"] == 0
    assert "failed" not in json.loads((folder.out / "run.json").read_text())


def test_a_defect_is_a_document(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("dptn_cli.cli.transfer.make_job", broken)
    result = folder.transfer("--json")
    assert result.exit_code == 70
    assert json.loads(result.stdout) == STOPPED | {
        "exit_code": 70, "error": "RuntimeError: unforeseen",
    }  # fmt: skip


def test_an_interruption_is_a_document(folder: Folder, tmp_path: Path) -> None:
    poses, log = tmp_path / "never.csv", tmp_path / "dptn.log"
    os.mkfifo(poses)
    command: list[Any] = [sys.executable, "-m", "dptn_cli", "transfer", "--json", "-o", folder.out]
    command += ["--pairs", folder.pairs, "--keypoints", poses, "--log-file", log]
    command += ["--model", folder.model]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with poses.open("wb"):  # opens when the command reads
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    assert process.returncode == 130
    assert json.loads(stdout) == STOPPED | {
        "state": "interrupted", "exit_code": 130, "error": "Interrupted",
    }  # fmt: skip
    assert stderr.endswith(b" Interrupted.\n")


def test_an_interruption_while_the_command_is_imported(tmp_path: Path) -> None:
    """A package that takes long to import is interrupted."""
    (tmp_path / "onnxruntime.py").write_text("import os\nos.kill(os.getpid(), 2)\n")
    command = [sys.executable, "-m", "dptn_cli", "transfer", "--json"]
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True)
    assert done.returncode == 130
    assert json.loads(done.stdout)["state"] == "interrupted"


def test_what_libraries_print_is_not_on_stdout() -> None:
    """Whether they print from Python, from C, or in a process that they start."""
    code = """
import os, sys
from dptn_cli.cli.console import command_output, print_json
with command_output(errors_only=True, as_json=True):
    print("from Python")
    sys.__stdout__.write("from Python\\n"), sys.__stdout__.flush()
    os.write(1, b"from C\\n")
    os.system("echo from a process")
    print_json({"key": 1})
    print_json({"key": 2})
print("afterwards")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == '{\n  "key": 1\n}\nafterwards\n'
    assert done.stderr.count("from") == 4


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_closed_stream_stops_nothing(folder: Folder, closed: str) -> None:
    shell = ["sh", "-c", f'exec "$@" {closed}>&-', "sh", sys.executable, "-m", "dptn_cli"]
    command: list[Any] = [*shell, "transfer", "--json", "--dry-run", "--pairs", folder.pairs]
    command += ["--model", folder.model, "-o", folder.out]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert closed == "1" or json.loads(done.stdout)["counts"]["to_do"] == 12
