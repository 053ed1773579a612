"""Running a job on a small Ray cluster: the same images, whatever dies."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster
from support import Folder, make_folder

from dptn_cli.distributed import ray_pool
from dptn_cli.distributed.ray_pool import RayPool
from dptn_cli.distributed.scheduler import Chunk, ChunkDone, Ready, WorkerLost
from dptn_cli.enums import Provider, Status
from dptn_cli.errors import InputError
from dptn_cli.inference.model_file import read_model
from dptn_cli.transfer.plan import TransferRequest, make_job
from dptn_cli.transfer.settings import Settings, StageSeconds
from dptn_cli.types import Failure, Item, Job, Outcome

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Start a cluster of one node with two cores; yield its address."""
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    yield started.address
    started.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture
def photos(tmp_path: Path, tiny_model: Path) -> Folder:
    return make_folder(tmp_path / "photos", tiny_model, count=6)


def command(folder: Folder, address: str, *options: object) -> list[str]:
    arguments = ("transfer", "--pairs", folder.pairs, "--model", folder.model, "-o", folder.out)
    parts = (sys.executable, "-m", "dptn_cli", *arguments, "--ray", address, *options)
    return [str(part) for part in parts]


def plain_results(folder: Folder, out: Path) -> dict[str, bytes]:
    result = folder.transfer("-o", out, "--provider", "cpu", "--batch-size", 4)
    assert result.exit_code == 0, result.stderr
    return {path.name: path.read_bytes() for path in out.glob("*.png")}


def test_results_equal_those_of_one_process_byte_for_byte(
    photos: Folder, tmp_path: Path, cluster: str
) -> None:
    (photos.path / "5.png").write_bytes(b"broken")
    first = photos.transfer("-o", tmp_path / "plain", "--provider", "cpu", "--batch-size", 4)
    assert first.exit_code == 1
    expected = {path.name: path.read_bytes() for path in (tmp_path / "plain").glob("*.png")}
    run_command = command(photos, cluster, "--batch-size", 4, "--provider", "cpu")
    done = subprocess.run(run_command, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "2 actors on Ray, cpu" in done.stderr
    assert photos.results() == expected
    assert len(expected) == 25
    statuses = {line["output"]: line["status"] for line in photos.manifest()}
    assert sorted(statuses.values()) == ["done"] * 25 + ["failed"] * 5
    run_file = json.loads((photos.out / "run.json").read_text())
    assert min(run_file["stage_seconds"].values()) > 0
    # Results of a Ray run are skipped by a later run without Ray.
    again = json.loads(photos.transfer("--json", "--provider", "cpu").stdout)["counts"]
    assert (again["done"], again["skipped"], again["failed"]) == (0, 25, 5)


class TestActors:
    @pytest.fixture
    def job(self, photos: Folder) -> Job:
        photos.out.mkdir()
        return make_job(
            TransferRequest(out=photos.out, pairs=photos.pairs), read_model(photos.model)
        )

    @pytest.mark.slow
    def test_a_dead_actor_is_restarted_and_its_chunks_are_retried(
        self, photos: Folder, job: Job, tmp_path: Path, cluster: str
    ) -> None:
        copy = tmp_path / "copy.onnx"
        copy.write_bytes(photos.model.read_bytes())
        job = replace(job, model=read_model(copy))
        with RayPool(job, cluster, Provider.CPU, overwrite=False) as pool:
            copy.unlink()  # The actors got its content.
            running = pool.run(Settings(batch_size=4), StageSeconds())
            outcomes = [next(running)]
            ray.kill(pool.workers[0].handle, no_restart=False)
            outcomes += running
            wait_for_actors(pool, 2)
        assert len(outcomes) == job.planned == 30
        assert {outcome.status for outcome in outcomes} == {Status.DONE}
        assert len({outcome.output for outcome in outcomes}) == 30
        assert photos.results() == plain_results(photos, tmp_path / "plain")

    def test_others_take_the_chunks_of_an_actor_that_is_not_restarted(
        self, job: Job, cluster: str
    ) -> None:
        with RayPool(job, cluster, Provider.CPU, overwrite=False) as pool:
            ray.kill(pool.workers[0].handle, no_restart=True)
            outcomes = list(pool.run(Settings(batch_size=4), StageSeconds()))
            assert pool.ready_count == 1
        assert len({outcome.output for outcome in outcomes}) == len(outcomes) == 30
        assert {outcome.status for outcome in outcomes} == {Status.DONE}

    def test_if_all_actors_are_gone_the_run_stops(self, job: Job, cluster: str) -> None:
        with RayPool(job, cluster, Provider.CPU, overwrite=False) as pool:
            for worker in pool.workers:
                ray.kill(worker.handle, no_restart=True)
            outcomes = list(pool.run(Settings(batch_size=4), StageSeconds()))
        assert len({outcome.output for outcome in outcomes}) == len(outcomes) == 30
        (reason,) = {outcome.stop_reason for outcome in outcomes}
        assert reason.startswith("no worker is left: an actor: ")

    def test_an_item_that_kills_its_actor_fails_alone(
        self, job: Job, cluster: str, photos: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Victim(ray_pool.ChunkActor):
            def make(self, items: list[Item]) -> tuple[list[Outcome], StageSeconds] | None:
                if any(item.output == "2_2_3_vis.png" for item in items):
                    os._exit(1)
                return super().make(items)

        monkeypatch.setattr(ray_pool, "ChunkActor", Victim)
        with RayPool(job, cluster, Provider.CPU, overwrite=False) as pool:
            outcomes = list(pool.run(Settings(batch_size=4), StageSeconds()))
        (failed,) = (outcome for outcome in outcomes if outcome.status is Status.FAILED)
        assert failed.output == "2_2_3_vis.png"
        assert failed.reason.startswith("its worker died: an actor: ")
        assert len({outcome.output for outcome in outcomes}) == len(outcomes) == 30
        assert len(photos.results()) == 29

    def test_a_defect_fails_the_chunk_with_its_message(self, job: Job, cluster: str) -> None:
        with RayPool(job, cluster, Provider.CPU, overwrite=False) as pool:
            worker = pool.workers[0]
            worker.pending[pool.submit(worker, [None])] = Chunk([item := next(job.items())])  # type: ignore[list-item]
            events: list[ChunkDone | WorkerLost] = []
            while not events:
                events += pool.poll()
        assert isinstance(events[0], ChunkDone)
        (outcome,) = events[0].outcomes
        assert (outcome.output, outcome.status) == (item.output, Status.FAILED)
        assert "AttributeError: 'NoneType' object" in outcome.reason

    def test_a_marker_removed_by_others_does_no_harm(self, job: Job, cluster: str) -> None:
        with RayPool(job, cluster, Provider.CPU, overwrite=False) as pool:
            (marker,) = job.out.iterdir()
            marker.unlink()
            outcomes = list(pool.run(Settings(batch_size=15), StageSeconds()))
        assert [outcome.status for outcome in outcomes] == [Status.DONE] * 30

    def test_a_stop_finishes_submitted_chunks(self, job: Job, cluster: str) -> None:
        with RayPool(job, cluster, Provider.CPU, overwrite=False) as pool:
            stops = iter([False])
            settings = Settings(batch_size=1, stop=lambda: next(stops, True))
            outcomes = list(pool.run(settings, StageSeconds()))
            capacity = sum(worker.capacity for worker in pool.workers)
        assert len(outcomes) == capacity < 30
        assert all((job.out / outcome.output).is_file() for outcome in outcomes)

    def test_actors_that_die_at_the_start(
        self, job: Job, cluster: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class DyingActor(ray_pool.ChunkActor):
            @ray.method(max_task_retries=-1)
            def open_session(self, model_bytes: bytes, provider: Provider) -> Ready | Failure:
                os._exit(1)

        monkeypatch.setattr(ray_pool, "ChunkActor", DyingActor)
        monkeypatch.setattr(ray_pool, "MAX_RESTARTS", 1)
        with (
            pytest.raises(InputError, match=r"no actor can work: The actor died"),
            RayPool(job, cluster, Provider.CPU, overwrite=False),
        ):
            pass

    def test_a_node_without_the_results_folder(
        self, job: Job, cluster: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Path, "resolve", lambda path: path / "elsewhere")
        with (
            pytest.raises(
                InputError,
                match=r"no actor can work: node .* cannot see the driver's results folder",
            ),
            RayPool(job, cluster, Provider.CPU, overwrite=False),
        ):
            pass
        assert not list(job.out.iterdir())


def wait_for_actors(pool: RayPool, count: int) -> None:
    deadline = time.monotonic() + 60
    while pool.ready_count < count:
        assert time.monotonic() < deadline
        assert not list(pool.poll())


@pytest.mark.slow
def test_chunks_of_a_dead_node_are_retried(tmp_path: Path, tiny_model: Path) -> None:
    photos = make_folder(tmp_path / "photos", tiny_model, count=30)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        node = cluster.add_node(num_cpus=1)
        running = subprocess.Popen(
            command(photos, cluster.address, "--json", "--batch-size", 4, "--provider", "cpu"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for_results(running, photos)
        cluster.remove_node(node, allow_graceful=False)
        stdout, stderr = running.communicate(timeout=120)
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
    assert running.returncode == 0, stderr
    assert stderr == ""
    counts = json.loads(stdout)["counts"]  # nothing else is on stdout
    assert counts == {"planned": 870, "done": 870, "skipped": 0, "failed": 0}
    assert photos.results() == plain_results(photos, tmp_path / "plain")


def wait_for_results(running: "subprocess.Popen[str]", folder: Folder) -> None:
    manifest = folder.out / "manifest.jsonl"
    deadline = time.monotonic() + 120
    while not (manifest.exists() and manifest.stat().st_size):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_second_job_on_the_folder_and_a_signal_to_the_first(
    tmp_path: Path, tiny_model: Path, cluster: str
) -> None:
    photos = make_folder(tmp_path / "photos", tiny_model, count=40)
    first = subprocess.Popen(
        command(photos, cluster), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for_results(first, photos)
    second = photos.transfer("--ray", cluster)
    first.send_signal(signal.SIGTERM)
    _, stderr = first.communicate(timeout=120)
    assert second.exit_code == 2
    assert "another `dptn transfer` is writing there" in second.stderr
    assert first.returncode == 130, stderr
    assert "Interrupted; what is done is kept" in stderr
    assert {line["output"] for line in photos.manifest()} == set(photos.results())
    assert 0 < len(photos.results()) < 40 * 39
    run_file = json.loads((photos.out / "run.json").read_text())
    assert run_file["batch_size"] == 8, "without a session of its own, the driver measures nothing"


def test_an_address_without_a_cluster(photos: Folder) -> None:
    result = photos.transfer("--ray", "127.0.0.1:1")
    assert result.exit_code == 2
    assert "--ray 127.0.0.1:1: " in result.stderr
