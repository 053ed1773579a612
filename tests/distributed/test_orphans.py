"""Workers that outlive the process that started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORKER = """
import time
from dptn_cli.distributed.orphans import end_with_parent
end_with_parent()
print("ready", flush=True)
time.sleep(600)
"""
PARENT = f"""
import subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", {WORKER!r}], stdout=subprocess.PIPE, text=True)
worker.stdout.readline()
print(worker.pid, flush=True)
time.sleep(600)
"""


def is_running(process: Path) -> bool:
    try:
        return "Z" not in (process / "stat").read_text().rpartition(")")[2][:3]
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
def test_a_worker_ends_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    worker = Path("/proc", parent.stdout.readline().strip())
    assert worker.exists()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline_s = time.monotonic() + 60
    while is_running(worker):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
