"""`dptn transfer` with lists, images and results behind URLs."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from support import Folder, dptn, make_folder, write_pairs
from typer.testing import Result

from dptn_cli.io.fsspec_storage import FsspecStorage
from dptn_cli.io.paths import parse_location
from dptn_cli.transfer import manifest_sync
from dptn_cli.transfer.earlier_runs import read_manifest
from dptn_cli.transfer.manifest import Manifest


@dataclass(frozen=True)
class Bucket:
    """A folder of images at a URL, with keypoints and pairs, and the model to use."""

    url: str
    model: Path

    def transfer(self, *more: object) -> Result:
        named = () if "--poses" in more else ("--pairs", f"{self.url}/photos/pairs.csv")
        return dptn("transfer", *named, "--model", self.model, "-o", f"{self.url}/out", *more)

    def counts(self, *more: object) -> dict[str, int]:
        counts: dict[str, int] = json.loads(self.transfer("--json", *more).stdout)["counts"]
        return counts

    def files(self) -> dict[str, bytes]:
        """What is in the results' folder, by name."""
        store, folder = fsspec.filesystem("memory"), f"{self.url.removeprefix('memory:/')}/out/"
        found = [name for name in store.store if name.startswith(folder)]
        return {name.removeprefix(folder): store.store[name].getvalue() for name in found}

    def results(self) -> dict[str, bytes]:
        return {name: data for name, data in self.files().items() if name.endswith(".png")}

    def manifest(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files()["manifest.jsonl"].splitlines()]

    def write(self, name: str, content: bytes) -> None:
        fsspec.filesystem("memory").pipe_file(f"{self.url}/{name}", content)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def bucket(folder: Folder, cache: Path) -> Iterator[Bucket]:
    store, url = fsspec.filesystem("memory"), f"memory://{uuid4().hex}"
    store.put(str(folder.path), f"{url}/photos", recursive=True)
    yield Bucket(url, folder.model)
    store.rm(url, recursive=True)


def other_machine(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setenv("DPTN_CACHE", str(path))


def test_the_same_images_as_with_local_files(bucket: Bucket, folder: Folder) -> None:
    assert folder.transfer("--batch-size", 4).exit_code == 0
    result = bucket.transfer("--batch-size", 4)
    assert result.exit_code == 0, result.stderr
    assert bucket.results() == folder.results()
    assert len(bucket.results()) == 12
    assert set(bucket.files()) == {*bucket.results(), "manifest.jsonl", "run.json"}
    fingerprints = [
        {line["output"]: line["fingerprint"] for line in one.manifest()} for one in (bucket, folder)
    ]
    assert fingerprints[0] == fingerprints[1]
    run = json.loads(bucket.files()["run.json"])
    assert run["state"] == "finished"
    assert run["target_folders"] == [f"{bucket.url}/photos"]
    assert f"{bucket.url}/out" in result.stdout.replace("\n", "")


def test_what_is_done_is_skipped_and_what_failed_tried_again(bucket: Bucket) -> None:
    bucket.write("photos/2.png", b"broken")
    assert bucket.counts() == {"planned": 12, "done": 9, "skipped": 0, "failed": 3}
    assert bucket.counts("--dry-run") == {"planned": 12, "to_do": 0, "skipped": 9, "failed": 3}
    assert bucket.counts() == {"planned": 12, "done": 0, "skipped": 9, "failed": 3}
    fsspec.filesystem("memory").rm(f"{bucket.url}/out/0_2_1_vis.png")
    assert bucket.counts("--limit", 3) == {"planned": 3, "done": 1, "skipped": 2, "failed": 0}


def test_local_lists_and_remote_images(bucket: Bucket, folder: Folder) -> None:
    result = bucket.transfer(
        "--pairs", folder.pairs, "--images", f"{bucket.url}/photos",
        "--keypoints", f"{bucket.url}/photos/keypoints.csv", "--shard", 5,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert len(bucket.results()) == 12
    assert {name.split("/")[0] for name in bucket.results()} == {"00000", "00001", "00002"}


def test_every_source_in_every_pose(bucket: Bucket) -> None:
    bucket.write("photos/out/left.png", b"not a source: it lies among the results")
    photos = f"{bucket.url}/photos"
    result = bucket.transfer(photos, "--poses", f"{photos}/keypoints.csv", "-o", f"{photos}/out")
    assert result.exit_code == 0, result.stderr
    found = fsspec.filesystem("memory").glob(f"{photos}/out/*_vis.png")
    assert len(found) == 16


def test_contact_sheets(bucket: Bucket, folder: Folder) -> None:
    assert folder.transfer("--grid").exit_code == 0
    result = bucket.transfer("--grid")
    assert result.exit_code == 0, result.stderr
    page = "grids/page-00001.png"
    assert bucket.files()[page] == (folder.out / page).read_bytes()
    bucket.write("out/grids/page-00002.png", bucket.files()[page])  # of an earlier, longer list
    assert bucket.transfer("--grid", "-q").exit_code == 0
    assert "grids/page-00002.png" not in bucket.files()


class TestAnotherMachine:
    def test_goes_on(self, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert bucket.counts("--limit", 5)["done"] == 5
        other_machine(monkeypatch, tmp_path / "other")
        assert bucket.counts() == {"planned": 12, "done": 7, "skipped": 5, "failed": 0}
        assert len(bucket.manifest()) == 12

    def test_and_the_first_one_after_it(
        self, bucket: Bucket, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bucket.transfer("--limit", 5)
        other_machine(monkeypatch, tmp_path / "other")
        bucket.transfer("--limit", 8)
        other_machine(monkeypatch, cache)
        assert bucket.counts("--dry-run")["skipped"] == 8
        assert bucket.counts() == {"planned": 12, "done": 4, "skipped": 8, "failed": 0}
        assert [line["output"] for line in bucket.manifest()] == list(
            dict.fromkeys(line["output"] for line in bucket.manifest())
        )
        assert len(bucket.manifest()) == 12

    def test_what_was_not_copied_is_kept_on_its_machine(
        self, bucket: Bucket, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first machine is killed before it copies; both go on from what they know."""
        bucket.transfer("--limit", 2)
        copied = bucket.files()["manifest.jsonl"]
        bucket.transfer("--limit", 4)
        bucket.write("out/manifest.jsonl", copied)
        other_machine(monkeypatch, tmp_path / "other")
        assert bucket.counts("--limit", 6)["skipped"] == 2
        other_machine(monkeypatch, cache)
        assert bucket.counts("--limit", 6) == {"planned": 6, "done": 0, "skipped": 6, "failed": 0}
        assert {line["output"] for line in bucket.manifest()} == set(bucket.results())

    def test_is_refused_only_on_this_one(self, bucket: Bucket) -> None:
        with Manifest(parse_location(f"{bucket.url}/out"), "m"):
            result = bucket.transfer()
        assert result.exit_code == 2
        assert "another `dptn transfer` is writing there" in result.stderr


class TestAStoreThatFails:
    @pytest.fixture
    def refuse(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception]:
        """What reading or writing a file raises, by the end of its name."""
        refused: dict[str, Exception] = {}
        kept = {name: getattr(MemoryFileSystem, name) for name in ("cat_file", "pipe_file")}

        def wrapped(name: str) -> Any:
            def call(self: MemoryFileSystem, path: str, *more: Any, **named: Any) -> Any:
                for end, error in refused.items():
                    if path.endswith(end):
                        raise error
                return kept[name](self, path, *more, **named)

            return call

        for name in kept:
            monkeypatch.setattr(MemoryFileSystem, name, wrapped(name))
        return refused

    def test_fails_the_items_and_no_others(
        self, bucket: Bucket, refuse: dict[str, Exception]
    ) -> None:
        refuse["0_2_1_vis.png"] = PermissionError("Access Denied")
        refuse["photos/3.png"] = RuntimeError("connection reset")
        result = bucket.transfer()
        assert result.exit_code == 1
        reasons = {line["output"]: line["reason"] for line in bucket.manifest() if line["reason"]}
        assert reasons.pop("0_2_1_vis.png") == "cannot be written: Access Denied"
        assert set(reasons.values()) == {"connection reset"}
        assert len(reasons) == 6, "the size of the target frames its pose: no guess without it"
        refuse.clear()
        assert bucket.counts() == {"planned": 12, "done": 7, "skipped": 5, "failed": 0}

    def test_before_anything_is_made(self, bucket: Bucket, refuse: dict[str, Exception]) -> None:
        refuse["run.json"] = PermissionError("Access Denied")
        result = bucket.transfer()
        assert result.exit_code == 2
        assert "run.json: Access Denied" in result.stderr
        assert not bucket.results()

    def test_at_the_end(
        self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        uploads = iter([FsspecStorage.upload])

        def upload(storage: FsspecStorage, path: Path, local: Path) -> None:
            next(uploads, refuse)(storage, path, local)

        def refuse(storage: FsspecStorage, path: Path, local: Path) -> None:
            raise OSError(5, "connection reset")

        with monkeypatch.context() as patch:
            patch.setattr(FsspecStorage, "upload", upload)
            result = bucket.transfer()
        assert result.exit_code == 1
        assert "manifest.jsonl: cannot be written: connection reset; it is kept in" in result.stderr
        assert bucket.counts() == {"planned": 12, "done": 0, "skipped": 12, "failed": 0}
        assert len(bucket.manifest()) == 12

    def test_while_the_plan_is_made(self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(*_: object, **__: object) -> None:
            raise RuntimeError("no route to the host")

        with monkeypatch.context() as patch:
            patch.setattr(MemoryFileSystem, "info", away)
            result = bucket.transfer()
        assert result.exit_code == 2
        assert "no route to the host" in result.stderr


class TestWrongUse:
    def test_names_that_leave_the_folder(self, bucket: Bucket, folder: Folder) -> None:
        outside = "is not in the folder of images memory://"
        for name, message in (
            ("../secret.png", "leaves its folder"),
            ("s3://other/0.png", outside),
            ("memory://other/0.png", outside),
        ):
            pairs = write_pairs(folder.path / "bad.csv", [(name, "1.png")])
            result = bucket.transfer("--pairs", pairs, "--images", f"{bucket.url}/photos")
            assert result.exit_code == 2
            assert message in result.stderr
        pairs = write_pairs(folder.path / "bad.csv", [("0.png", "1.png", "../../x")], "from,to,out")
        assert bucket.transfer("--pairs", pairs).exit_code == 2

    def test_what_is_not_there(self, bucket: Bucket) -> None:
        result = bucket.transfer("--images", f"{bucket.url}/nowhere")
        assert result.exit_code == 2
        assert "/nowhere: no such folder of images" in result.stderr
        missing = dptn("transfer", "--pairs", f"{bucket.url}/no.csv", "--model", bucket.model)
        assert missing.exit_code == 2
        assert "no.csv: No such file or directory" in missing.stderr

    def test_a_package_that_is_missing(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "s3fs", None)
        result = folder.transfer("-o", "s3://bucket/results")
        assert result.exit_code == 2
        assert "s3fs, which is not installed: pip install s3fs" in result.stderr

    def test_images_without_keypoints(self, bucket: Bucket) -> None:
        fsspec.filesystem("memory").rm(f"{bucket.url}/photos/keypoints.csv")
        for more in ((), ("--dry-run",)):
            result = bucket.transfer(*more)
            assert result.exit_code == 2
            assert "images without keypoints: 4 (memory://" in result.stderr
            assert "detected only if images and results are local" in result.stderr


def test_many_files_are_waited_for_at_once(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, most = Counter[str](), Counter[str]()

    def slowly(name: str) -> Any:
        kept = getattr(MemoryFileSystem, name)

        def call(self: MemoryFileSystem, *more: Any, **named: Any) -> Any:
            waiting[name] += 1
            most[name] = max(most[name], waiting[name])
            time.sleep(0.05)
            waiting[name] -= 1
            return kept(self, *more, **named)

        return call

    for name in ("cat_file", "pipe_file"):
        monkeypatch.setattr(MemoryFileSystem, name, slowly(name))
    assert bucket.counts("--batch-size", 1)["done"] == 12
    assert most["cat_file"] >= 8
    assert most["pipe_file"] >= 3


def test_the_manifest_is_copied_while_the_run_goes_on(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_sync, "INTERVAL_S", 0.0)
    monkeypatch.setattr(manifest_sync, "MAX_SHARE", 1e9)
    lines: list[int] = []

    upload = FsspecStorage.upload

    def count(storage: FsspecStorage, path: Path, local: Path) -> None:
        upload(storage, path, local)
        lines.append(len(bucket.manifest()))

    monkeypatch.setattr(FsspecStorage, "upload", count)
    assert bucket.transfer().exit_code == 0
    assert lines == list(range(13))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_lost_after_a_kill(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "cache"))
    photos = make_folder(tmp_path / "photos", tiny_model, count=12)
    command = [
        sys.executable, "-m", "dptn_cli", "transfer", "--pairs", f"file://{photos.pairs}",
        "--model", str(photos.model), "-o", f"file://{photos.out}", "--batch-size", "2",
    ]  # fmt: skip
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (photos.out.exists() and len(photos.results()) > 10):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(number)
    assert running.wait() == (130 if number == signal.SIGTERM else -signal.SIGKILL)
    told = {entry["output"] for entry in read_manifest(parse_location(f"file://{photos.out}"))}
    there = set(photos.results())
    assert told <= there
    if number == signal.SIGTERM:
        assert {line["output"] for line in photos.manifest()} == told == there
    assert len(there) - len(told) <= 40, "told soon after they are in place"
    kept = {name: (photos.out / name).stat().st_mtime_ns for name in told}
    assert photos.transfer("-o", f"file://{photos.out}", "-q").exit_code == 0
    assert len(photos.results()) == 12 * 11
    assert len(photos.manifest()) == 12 * 11
    assert all((photos.out / name).stat().st_mtime_ns == at for name, at in kept.items())
    assert not [path for path in photos.out.rglob("*") if path.name.startswith(".dptn-")]
