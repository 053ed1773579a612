"""The same job in several processes of one machine, here on the CPU."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import Folder, make_folder

from dptn_cli.cli.options import parse_devices
from dptn_cli.distributed import process_pool
from dptn_cli.distributed.process_pool import DevicePool
from dptn_cli.enums import Provider, Status
from dptn_cli.errors import InputError
from dptn_cli.inference.model_file import read_model
from dptn_cli.transfer.plan import Request, make_job
from dptn_cli.transfer.settings import Settings, StageSeconds
from dptn_cli.types import Job

ON_TWO = ("--devices", "0,1", "--provider", "cpu", "--batch-size", 4)


@pytest.fixture
def photos(tmp_path: Path, tiny_model: Path) -> Folder:
    return make_folder(tmp_path / "photos", tiny_model, count=6)


@pytest.fixture
def job(photos: Folder) -> Job:
    photos.out.mkdir()
    return make_job(Request(out=photos.out, pairs=photos.pairs), read_model(photos.model))


def test_the_same_images_to_the_byte_in_one_manifest(photos: Folder, tmp_path: Path) -> None:
    (photos.path / "5.png").write_bytes(b"broken")
    plain = photos.transfer("-o", tmp_path / "plain", "--provider", "cpu", "--batch-size", 4)
    done = photos.transfer(*ON_TWO)
    assert (plain.exit_code, done.exit_code) == (1, 1), done.stderr
    assert "2 processes, cpu" in done.stderr
    expected = {path.name: path.read_bytes() for path in (tmp_path / "plain").glob("*.png")}
    assert photos.results() == expected
    told = {line["output"]: line["status"] for line in photos.manifest()}
    assert sorted(told.values()) == ["done"] * 25 + ["failed"] * 5
    assert min(json.loads((photos.out / "run.json").read_text())["stage_seconds"].values()) > 0
    again = json.loads(photos.transfer("--json", *ON_TWO).stdout)["counts"]
    assert (again["done"], again["skipped"], again["failed"]) == (0, 25, 5)


def test_both_processes_work(job: Job) -> None:
    with DevicePool(job, [0, 1], Provider.CPU, overwrite=False) as pool:
        making = pool.run(Settings(batch_size=2), StageSeconds())
        next(making)
        assert all(worker.given for worker in pool.workers)
        list(making)
        processes = [worker.process for worker in pool.workers]
    assert [process.exitcode for process in processes] == [0, 0]


def test_a_process_that_dies_costs_another_attempt(job: Job) -> None:
    with DevicePool(job, [0, 1], Provider.CPU, overwrite=False) as pool:
        told: list[str] = []
        making = pool.run(Settings(batch_size=2, notify=told.append), StageSeconds())
        outcomes = [next(making)]
        pool.workers[0].process.kill()
        outcomes += making
    assert told == ["Lost the process of device 0, exit code -9"]
    assert len({outcome.output for outcome in outcomes}) == len(outcomes) == 30
    assert {outcome.status for outcome in outcomes} == {Status.DONE}


def test_where_all_have_died_every_item_still_ends(job: Job) -> None:
    with DevicePool(job, [0, 1], Provider.CPU, overwrite=False) as pool:
        for worker in pool.workers:
            worker.process.kill()
            worker.process.join()
        outcomes = list(pool.run(Settings(batch_size=2), StageSeconds()))
    assert len({outcome.output for outcome in outcomes}) == len(outcomes) == 30
    assert {outcome.status for outcome in outcomes} == {Status.FAILED}
    assert {outcome.reason for outcome in outcomes} == {"nobody is left to make it"}


def test_what_kills_too_often_fails_alone(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_pool, "MAX_ATTEMPTS", 1)
    with DevicePool(job, [0, 1], Provider.CPU, overwrite=False) as pool:
        pool.workers[0].process.kill()
        pool.workers[0].process.join()
        outcomes = list(pool.run(Settings(batch_size=15), StageSeconds()))
    lost = [outcome for outcome in outcomes if outcome.status is Status.FAILED]
    assert (len(outcomes), len(lost)) == (30, 15)
    assert {one.reason for one in lost} == {"lost with the process of device 0, exit code -9"}


def test_a_stop_ends_in_order(job: Job) -> None:
    with DevicePool(job, [0, 1], Provider.CPU, overwrite=False) as pool:
        asked = iter([False])
        settings = Settings(batch_size=1, stop=lambda: next(asked, True))
        outcomes = list(pool.run(settings, StageSeconds()))
        at_once = sum(worker.most for worker in pool.workers)
    assert len(outcomes) == at_once < 30
    assert all((job.out / outcome.output).is_file() for outcome in outcomes)


def test_a_signal_to_all_processes_keeps_what_was_done(tmp_path: Path, tiny_model: Path) -> None:
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
    assert "Interrupted; what was done is kept" in stderr
    assert {line["output"] for line in photos.manifest()} == set(photos.results())
    assert 0 < len(photos.results()) < 40 * 39


class TestWrongUse:
    def test_a_device_that_is_not_there(self, photos: Folder) -> None:
        result = photos.transfer("--devices", "0,99")
        assert result.exit_code == 2
        assert "--devices: device 0: " in result.stderr or "device 99: " in result.stderr
        assert "is not available" in result.stderr
        assert not photos.results()

    def test_devices_of_a_cluster(self, photos: Folder) -> None:
        result = photos.transfer("--devices", "0", "--ray", "local")
        assert result.exit_code == 2
        assert "not both" in result.stderr

    @pytest.mark.parametrize("text", ["", "a", "0,", "0;1", "-1", "1.5"])
    def test_no_numbers(self, text: str) -> None:
        with pytest.raises(InputError, match="numbers with commas"):
            parse_devices(text)

    def test_one_twice(self) -> None:
        with pytest.raises(InputError, match="named twice"):
            parse_devices("0,1,0")

    def test_numbers(self) -> None:
        assert parse_devices("0, 2") == (0, 2)
        assert parse_devices(None) == ()
