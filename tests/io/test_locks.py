"""Locks on a file system that has none: the library in front of the system refuses `flock`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import Folder, build_library

from dptn_cli.errors import InputError
from dptn_cli.io import locks
from dptn_cli.io.locks import Lock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the library is for Linux")

HOLD = """
import sys, time
from pathlib import Path
from dptn_cli.errors import InputError
from dptn_cli.io.locks import Lock
path = Path(sys.argv[1])
with path.open("ab") as file:
    try:
        lock = Lock(file, path, "test")
    except InputError as error:
        print(error)
        sys.exit(2)
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
    lock.release()
"""


@pytest.fixture(scope="module")
def lockless(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that finds no locks."""
    library = build_library("no_locks", tmp_path_factory.mktemp("libraries"))
    return {**os.environ, "LD_PRELOAD": str(library)}


def start(path: Path, seconds: float, environment: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(seconds)],
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def lock_file(path: Path) -> Path:
    return path.with_name(f".dptn-lock-{path.name}")


def test_of_many_that_start_at_once_one_holds_it(tmp_path: Path, lockless: dict[str, str]) -> None:
    path = tmp_path / "log"
    # The holder of this stale lock is no process of this machine; all see that at once.
    stale = {"host": socket.gethostname(), "space": locks._pid_namespace(), "pid": 1 << 22}
    lock_file(path).write_text(json.dumps(stale | {"started": "1"}))
    processes = [start(path, 20, lockless) for _ in range(10)]
    lines = [first_line(process) for process in processes[:]]
    for process in processes:
        process.kill()
        process.wait()
    assert lines.count("held") == 1
    assert all("another `test` is writing there" in line for line in lines if line != "held")


def test_it_is_free_after_its_end(tmp_path: Path, lockless: dict[str, str]) -> None:
    path = tmp_path / "log"
    holder = start(path, 0, lockless)
    assert first_line(holder) == "held"
    assert holder.wait(30) == 0
    assert not lock_file(path).exists()


def test_whoever_is_killed_is_not_waited_for(tmp_path: Path, lockless: dict[str, str]) -> None:
    path = tmp_path / "log"
    holder = start(path, 60, lockless)
    assert first_line(holder) == "held"
    second = start(path, 0, lockless)
    assert f"(process {holder.pid} on {socket.gethostname()}, " in first_line(second)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert first_line(start(path, 0, lockless)) == "held"


@pytest.mark.parametrize(("age_s", "is_free"), [(10, False), (3600, True)])
def test_a_holder_on_another_machine_is_judged_by_its_refreshing(
    tmp_path: Path, lockless: dict[str, str], age_s: float, is_free: bool
) -> None:
    path = tmp_path / "log"
    elsewhere = {"host": "far", "space": "another boot", "pid": os.getpid(), "started": "1"}
    lock_file(path).write_text(json.dumps(elsewhere))
    os.utime(lock_file(path), (time.time() - age_s,) * 2)
    line = first_line(start(path, 0, lockless))
    assert line == "held" if is_free else "on far" in line


def test_a_lock_that_another_took_for_stale_is_left_to_it(
    tmp_path: Path, lockless: dict[str, str]
) -> None:
    path = tmp_path / "log"
    holder = start(path, 1, lockless)
    assert first_line(holder) == "held"
    taken = json.loads(lock_file(path).read_text()) | {"token": "of another process"}
    lock_file(path).write_text(json.dumps(taken))
    assert holder.wait(30) == 0
    assert lock_file(path).exists()


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"pid": "x"}'])
def test_a_lock_that_cannot_be_read_is_held_while_it_is_fresh(
    tmp_path: Path, lockless: dict[str, str], content: str
) -> None:
    path = tmp_path / "log"
    lock_file(path).write_text(content)
    assert "another `test` is writing there" in first_line(start(path, 0, lockless))


def test_where_there_are_locks_no_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("ab") as file, path.open("ab") as other:
        lock = Lock(file, path, "test")
        assert not lock.note
        with pytest.raises(InputError, match="another `test` is writing there"):
            Lock(other, path, "test")
        lock.release()
    assert os.listdir(tmp_path) == ["log"]


def test_a_transfer_without_locks(folder: Folder, lockless: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dptn_cli", "transfer", "--pairs", str(folder.pairs), "--limit",
         "2", "--model", str(folder.model), "-o", str(folder.out)],
        env=lockless, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the file system has no locks (Function not implemented)" in done.stderr
    assert sorted(os.listdir(folder.out)) == [
        "0_2_1_vis.png", "0_2_2_vis.png", "manifest.jsonl", "run.json",
    ]  # fmt: skip
