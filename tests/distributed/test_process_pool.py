"""Running a job in several processes of one machine, here on the CPU."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import Folder, make_folder, write_pairs

from dptn_cli.cli.options import parse_devices
from dptn_cli.distributed.process_pool import ProcessPool
from dptn_cli.enums import Provider, Status
from dptn_cli.errors import InputError
from dptn_cli.inference.model_file import read_model
from dptn_cli.transfer.plan import TransferRequest, make_job
from dptn_cli.transfer.settings import Settings, StageSeconds
from dptn_cli.types import Job

ON_TWO = ("--devices", "0,1", "--provider", "cpu", "--batch-size", 4)


@pytest.fixture
def photos(tmp_path: Path, tiny_model: Path) -> Folder:
    return make_folder(tmp_path / "photos", tiny_model, count=6)


@pytest.fixture
def job(photos: Folder) -> Job:
    photos.out.mkdir()
    return make_job(TransferRequest(out=photos.out, pairs=photos.pairs), read_model(photos.model))


def test_results_equal_those_of_one_process_byte_for_byte(photos: Folder, tmp_path: Path) -> None:
    (photos.path / "5.png").write_bytes(b"broken")
    plain = photos.transfer("-o", tmp_path / "plain", "--provider", "cpu", "--batch-size", 4)
    done = photos.transfer(*ON_TWO)
    assert (plain.exit_code, done.exit_code) == (1, 1), done.stderr
    assert "2 processes, cpu" in done.stderr
    expected = {path.name: path.read_bytes() for path in (tmp_path / "plain").glob("*.png")}
    assert photos.results() == expected
    statuses = {line["output"]: line["status"] for line in photos.manifest()}
    assert sorted(statuses.values()) == ["done"] * 25 + ["failed"] * 5
    assert min(json.loads((photos.out / "run.json").read_text())["stage_seconds"].values()) > 0
    again = json.loads(photos.transfer("--json", *ON_TWO).stdout)["counts"]
    assert (again["done"], again["skipped"], again["failed"]) == (0, 25, 5)


def test_both_processes_get_chunks(job: Job) -> None:
    with ProcessPool(job, [0, 1], Provider.CPU, overwrite=False) as pool:
        running = pool.run(Settings(batch_size=2), StageSeconds())
        next(running)
        assert all(worker.pending for worker in pool.workers)
        list(running)
        processes = [worker.process for worker in pool.workers]
    assert [process.exitcode for process in processes] == [0, 0]


def test_chunks_of_a_dead_process_are_retried(job: Job) -> None:
    with ProcessPool(job, [0, 1], Provider.CPU, overwrite=False) as pool:
        messages: list[str] = []
        running = pool.run(Settings(batch_size=2, notify=messages.append), StageSeconds())
        outcomes = [next(running)]
        pool.workers[0].process.kill()
        outcomes += running
    assert messages == ["Lost a worker: the process on device 0 exited with code -9"]
    assert len({outcome.output for outcome in outcomes}) == len(outcomes) == 30
    assert {outcome.status for outcome in outcomes} == {Status.DONE}


def test_dead_processes_are_started_again(job: Job) -> None:
    with ProcessPool(job, [0, 1], Provider.CPU, overwrite=False) as pool:
        for worker in pool.workers:
            worker.process.kill()
            worker.process.join()
        outcomes = list(pool.run(Settings(batch_size=2), StageSeconds()))
    assert len({outcome.output for outcome in outcomes}) == len(outcomes) == 30
    assert {outcome.status for outcome in outcomes} == {Status.DONE}


def test_if_no_process_can_work_the_run_stops(job: Job) -> None:
    """The model is gone, so that no process can be started again."""
    with ProcessPool(job, [0], Provider.CPU, overwrite=False) as pool:
        pool.workers[0].process.kill()
        pool.workers[0].process.join()
        job.model.path.rename(job.model.path.with_suffix(".away"))
        outcomes = list(pool.run(Settings(batch_size=2), StageSeconds()))
        job.model.path.with_suffix(".away").rename(job.model.path)
    assert len({outcome.output for outcome in outcomes}) == len(outcomes) == 30
    (reason,) = {outcome.stop_reason for outcome in outcomes}
    assert reason.startswith("no worker is left: the process on device 0 exited with code 0: ")


def test_an_item_that_kills_its_process_fails_alone(photos: Folder, fault_library: Path) -> None:
    """Whoever opens one image of the list is killed; its neighbours in the batch are done."""
    pairs = [("0.png", f"{i}.png") for i in range(5)] + [("5.png", "0.png"), ("1.png", "2.png")]
    write_pairs(photos.pairs, pairs)
    result = subprocess.run(
        [sys.executable, "-m", "dptn_cli", "transfer", "--pairs", str(photos.pairs), "--model",
         str(photos.model), "-o", str(photos.out), *map(str, ON_TWO)],
        env=os.environ | {
            "LD_PRELOAD": str(fault_library), "FAULT_PATH": str(photos.path / "5.png"),
            "FAULT_CALLS": "read", "FAULT_FIRST": "1", "FAULT_COUNT": "99", "FAULT_ERRNO": "-9",
        },
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    outcomes = {line["output"]: (line["status"], line["reason"]) for line in photos.manifest()}
    status, reason = outcomes.pop("5_2_0_vis.png")
    assert (status, reason.rpartition(" ")[2]) == ("failed", "-9")
    assert reason.startswith("its worker died: the process on device ")
    assert {status for status, _ in outcomes.values()} == {"done"}
    assert len(outcomes) == 6 == len(photos.results())


def test_a_stop_finishes_submitted_chunks(job: Job) -> None:
    with ProcessPool(job, [0, 1], Provider.CPU, overwrite=False) as pool:
        stops = iter([False])
        settings = Settings(batch_size=1, stop=lambda: next(stops, True))
        outcomes = list(pool.run(settings, StageSeconds()))
        capacity = sum(worker.capacity for worker in pool.workers)
    assert len(outcomes) == capacity < 30
    assert all((job.out / outcome.output).is_file() for outcome in outcomes)


def test_an_interrupt_of_all_processes_keeps_finished_results(
    tmp_path: Path, tiny_model: Path
) -> None:
    photos = make_folder(tmp_path / "photos", tiny_model, count=40)
    arguments = ("transfer", "--pairs", photos.pairs, "--model", photos.model, "-o", photos.out)
    command = [sys.executable, "-m", "dptn_cli", *map(str, arguments), *map(str, ON_TWO)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    manifest = photos.out / "manifest.jsonl"
    deadline = time.monotonic() + 120
    while not (manifest.exists() and manifest.stat().st_size):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    subprocess.run(["kill", "-INT", "--", f"-{running.pid}"], check=True)  # as Ctrl-C does
    _, stderr = running.communicate(timeout=120)
    assert running.returncode == 130, stderr
    assert "Interrupted; what is done is kept" in stderr
    assert {line["output"] for line in photos.manifest()} == set(photos.results())
    assert 0 < len(photos.results()) < 40 * 39


class TestOptions:
    def test_a_missing_device(self, photos: Folder) -> None:
        result = photos.transfer("--devices", "0,99")
        assert result.exit_code == 2
        assert "--devices: device 0: " in result.stderr or "device 99: " in result.stderr
        assert "is not available" in result.stderr
        assert not photos.results()

    def test_devices_and_ray_together(self, photos: Folder) -> None:
        result = photos.transfer("--devices", "0", "--ray", "local")
        assert result.exit_code == 2
        assert "not both" in result.stderr

    @pytest.mark.parametrize("text", ["", "a", "0,", "0;1", "-1", "1.5"])
    def test_malformed_device_lists(self, text: str) -> None:
        with pytest.raises(InputError, match="numbers with commas"):
            parse_devices(text)

    def test_a_device_named_twice(self) -> None:
        with pytest.raises(InputError, match="named twice"):
            parse_devices("0,1,0")

    def test_device_numbers(self) -> None:
        assert parse_devices("0, 2") == (0, 2)
        assert parse_devices(None) == ()
