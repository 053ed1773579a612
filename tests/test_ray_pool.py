"""The same job on a small Ray cluster: the same pictures, whatever dies."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster
from support import Folder, make_folder

from dptn_cli.pipeline import Settings, StageSeconds
from dptn_cli.plan import Request, make_job
from dptn_cli.ray_pool import RayPool
from dptn_cli.records import Job, Status
from dptn_cli.session import read_model


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Its address; of one node with two cores."""
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    yield started.address
    started.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture
def photos(tmp_path: Path, tiny_model: Path) -> Folder:
    return make_folder(tmp_path / "photos", tiny_model, count=6)


def command(folder: Folder, address: str, *more: object) -> list[str]:
    arguments = ("transfer", "--pairs", folder.pairs, "--model", folder.model, "-o", folder.out)
    parts = (sys.executable, "-m", "dptn_cli", *arguments, "--ray", address, *more)
    return [str(part) for part in parts]


def plain_results(folder: Folder, out: Path) -> dict[str, bytes]:
    result = folder.transfer("-o", out, "--provider", "cpu", "--batch-size", 4)
    assert result.exit_code == 0, result.stderr
    return {path.name: path.read_bytes() for path in out.glob("*.png")}


def test_the_same_pictures_to_the_byte(photos: Folder, tmp_path: Path, cluster: str) -> None:
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
    told = {line["output"]: line["status"] for line in photos.manifest()}
    assert sorted(told.values()) == ["done"] * 25 + ["failed"] * 5
    run_file = json.loads((photos.out / "run.json").read_text())
    assert min(run_file["stage_seconds"].values()) > 0
    # What is done is skipped, with Ray or without.
    again = json.loads(photos.transfer("--json", "--provider", "cpu").stdout)["counts"]
    assert (again["done"], again["skipped"], again["failed"]) == (0, 25, 5)


class TestActors:
    @pytest.fixture
    def job(self, photos: Folder) -> Job:
        photos.out.mkdir()
        return make_job(Request(out=photos.out, pairs=photos.pairs), read_model(photos.model))

    def test_an_actor_that_dies_costs_a_retry(
        self, photos: Folder, job: Job, tmp_path: Path, cluster: str
    ) -> None:
        with RayPool(job, cluster, "cpu", overwrite=False) as pool:
            making = pool.run(Settings(batch_size=4), StageSeconds())
            outcomes = [next(making)]
            ray.kill(pool.actors[0], no_restart=False)
            outcomes += making
        assert len(outcomes) == job.planned == 30
        assert {outcome.status for outcome in outcomes} == {Status.DONE}
        assert len({outcome.output for outcome in outcomes}) == 30
        assert photos.results() == plain_results(photos, tmp_path / "plain")

    def test_what_cannot_be_retried_fails_alone(
        self,
        job: Job,
        cluster: str,
    ) -> None:
        with RayPool(job, cluster, "cpu", overwrite=False) as pool:
            ray.kill(pool.actors[0], no_restart=True)
            outcomes = list(pool.run(Settings(batch_size=15), StageSeconds()))
        failed = [outcome for outcome in outcomes if outcome.status is Status.FAILED]
        assert (len(outcomes), len(failed)) == (30, 15)
        assert all(outcome.reason.startswith("lost with its actor") for outcome in failed)

    def test_a_stop_ends_in_order(self, job: Job, cluster: str) -> None:
        with RayPool(job, cluster, "cpu", overwrite=False) as pool:
            asked = iter([False, False, True])
            outcomes = list(
                pool.run(Settings(batch_size=4, stop=lambda: next(asked)), StageSeconds())
            )
        assert len(outcomes) == 8
        assert all((job.out / outcome.output).is_file() for outcome in outcomes)


def test_two_jobs_on_one_folder_and_a_stop_from_outside(
    tmp_path: Path, tiny_model: Path, cluster: str
) -> None:
    photos = make_folder(tmp_path / "photos", tiny_model, count=40)
    first = subprocess.Popen(
        command(photos, cluster), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    manifest = photos.out / "manifest.jsonl"
    deadline = time.monotonic() + 120
    while not (manifest.exists() and manifest.stat().st_size):
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    second = photos.transfer("--ray", cluster)
    first.send_signal(signal.SIGTERM)
    _, stderr = first.communicate(timeout=120)
    assert second.exit_code == 2
    assert "another `dptn transfer` is writing there" in second.stderr
    assert first.returncode == 130, stderr
    assert "Interrupted; what was done is kept" in stderr
    assert {line["output"] for line in photos.manifest()} == set(photos.results())
    assert 0 < len(photos.results()) < 40 * 39
    run_file = json.loads((photos.out / "run.json").read_text())
    assert run_file["batch_size"] == 8, "nothing is measured where there is no session"


def test_no_cluster_there(photos: Folder) -> None:
    result = photos.transfer("--ray", "127.0.0.1:1")
    assert result.exit_code == 2
    assert "--ray 127.0.0.1:1: " in result.stderr
