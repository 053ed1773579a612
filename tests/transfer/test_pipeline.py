"""The loop with a stand-in for the network: order, batches, failures, stopping."""

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from support import TINY_SPEC, draw_image, draw_pose, write_annotations, write_pairs

from dptn_cli.enums import Status
from dptn_cli.errors import ModelError
from dptn_cli.io.images import decode_crop
from dptn_cli.io.resize import resize_to_network
from dptn_cli.transfer.pipeline import dry_run, run
from dptn_cli.transfer.plan import TransferRequest, make_job
from dptn_cli.transfer.settings import Settings, StageSeconds
from dptn_cli.types import Batch, Crop, ImageU8, Job, Model, Outcome, Size

MODEL = Model(Path("m.onnx"), "0" * 64, TINY_SPEC, "fp32", {})
NAMES = [f"{i}.png" for i in range(5)]


class Painter:
    """Answers with plain images whose level tells source and target apart."""

    def __init__(self, fail: Callable[[Batch], bool] = lambda batch: False) -> None:
        self.batches: list[Batch] = []
        self.fail = fail

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        self.batches.append(batch)
        if self.fail(batch):
            raise ModelError("inference failed: out of memory")
        level = batch.sources[batch.source_index].mean(axis=(1, 2, 3))
        level = level * 0.5 + batch.target_poses.mean(axis=(1, 2))
        shape = (len(batch.source_index), *TINY_SPEC.network_size, 3)
        return np.broadcast_to(level.astype(np.uint8)[:, None, None, None], shape)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return make_images_and_job(tmp_path, [(a, b) for b in NAMES for a in NAMES])


def make_images_and_job(tmp_path: Path, pairs: list[tuple[str, str]]) -> Job:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, name in enumerate(NAMES):
        draw_image(i).save(folder / name)
    poses = {name: draw_pose(i) for i, name in enumerate(NAMES)}
    poses["empty.png"] = np.full((18, 2), -1)
    poses["far.png"] = np.full((18, 2), 9000)
    write_annotations(folder / "keypoints.csv", poses)
    out = tmp_path / "out"
    out.mkdir()
    return make_job(TransferRequest(out=out, pairs=write_pairs(folder / "pairs.csv", pairs)), MODEL)


def statuses(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.output: str(outcome.status) for outcome in outcomes}


def levels(job: Job) -> dict[str, int]:
    return {p.name: int(np.asarray(Image.open(p)).max()) for p in sorted(job.out.glob("*.png"))}


def test_every_item_ends_once_and_is_there(job: Job) -> None:
    outcomes = list(run(job, Painter(), Settings(batch_size=4)))
    assert len(outcomes) == job.planned == 25
    assert set(statuses(outcomes).values()) == {"done"}
    assert len(levels(job)) == 25
    assert all(outcome.fingerprint and outcome.elapsed_s > 0 for outcome in outcomes)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("streams", [1, 3])
def test_results_do_not_depend_on_batches_lanes_or_workers(
    job: Job, batch_size: int, streams: int, workers: int
) -> None:
    list(run(job, Painter(), Settings(batch_size=7, workers=2)))
    first = levels(job)
    list(run(job, Painter(), Settings(batch_size=batch_size, streams=streams, workers=workers)))
    assert levels(job) == first
    assert len(set(first.values())) > 10, "the stand-in tells items apart"


def test_a_batch_holds_each_source_once(job: Job) -> None:
    painter = Painter()
    list(run(job, painter, Settings(batch_size=5)))
    assert [len(batch.sources) for batch in painter.batches] == [1] * 5
    assert [len(batch.source_index) for batch in painter.batches] == [5] * 5


def test_the_same_image_with_two_poses_stays_two_sources(job: Job) -> None:
    items = list(job.items())[:2]
    other = replace(items[0], output="other.png", source_pose=items[1].source_pose)
    painter = Painter()
    list(run(replace(job, planned=2, items=lambda: iter([items[0], other])), painter, Settings()))
    assert len(painter.batches[0].sources) == 2


def test_what_is_held_is_skipped(job: Job) -> None:
    made = {o.output: o.fingerprint for o in run(job, Painter(), Settings())}
    painter = Painter()

    def earlier(output: str, fingerprint: str) -> Status | None:
        return Status.DONE if made.get(output) == fingerprint else None

    settings = Settings(earlier=earlier)
    assert set(statuses(list(run(job, painter, settings))).values()) == {"skipped"}
    assert not painter.batches


@pytest.mark.parametrize("change", ["model", "source", "source pose", "target pose", "quality"])
def test_a_fingerprint_holds_all_that_the_image_depends_on(job: Job, change: str) -> None:
    first = next(job.items())
    first = replace(first, output="x.jpg")

    def fingerprint(job: Job) -> str:
        (outcome,) = run(job, Painter(), Settings())
        return outcome.fingerprint

    job = replace(job, planned=1, items=lambda: iter([first]))
    before = fingerprint(job)
    assert fingerprint(job) == before
    pose = first.source_pose + 3
    if change == "model":
        job = replace(job, model=replace(MODEL, sha256="1" * 64))
    elif change == "source":
        draw_image(77).save(first.source_path)
    elif change == "quality":
        job = replace(job, jpeg_quality=90)
    elif change == "source pose":
        job = replace(job, items=lambda: iter([replace(first, source_pose=pose)]))
    else:
        job = replace(job, items=lambda: iter([replace(first, target_pose=pose)]))
    assert fingerprint(job) != before


def test_bad_items_fail_alone(tmp_path: Path) -> None:
    pairs = [("0.png", "1.png"), ("1.png", "empty.png"), ("2.png", "far.png"), ("3.png", "1.png"),
             ("4.png", "0.png"), ("2.png", "0.png")]  # fmt: skip
    job = make_images_and_job(tmp_path, pairs)
    (tmp_path / "photos" / "3.png").unlink()
    (tmp_path / "photos" / "4.png").write_bytes(b"\x89PNG broken")
    outcomes = list(run(job, Painter(), Settings()))
    reasons = {o.output: o.reason for o in outcomes if o.status is Status.FAILED}
    assert sorted(statuses(outcomes).values()) == ["done"] * 2 + ["failed"] * 4
    assert (
        reasons["1_2_empty_vis.png"]
        == "empty.png: the target pose is empty: all 18 joints are missing"
    )
    assert "the joints are all in one place" in reasons["2_2_far_vis.png"]
    assert reasons["3_2_1_vis.png"] == "the source image is missing"
    assert reasons["4_2_0_vis.png"].startswith(("not an image", "cannot be decoded"))


def test_a_failed_batch_is_tried_item_by_item(job: Job) -> None:
    """Out of memory at more than one, and one source that fails even alone."""
    bad = resize_to_network(draw_image(2), TINY_SPEC.network_size)
    painter = Painter(
        lambda batch: len(batch.source_index) > 1 or np.array_equal(batch.sources[0], bad)
    )
    outcomes = list(run(job, painter, Settings(batch_size=8)))
    failed = [o for o in outcomes if o.status is Status.FAILED]
    assert len(outcomes) == 25
    assert [o.source for o in failed] == ["2.png"] * 5
    assert {o.reason for o in failed} == {"inference failed: out of memory"}


def test_a_stop_ends_in_order(job: Job) -> None:
    seen = 0

    def stop() -> bool:
        return seen >= 3

    outcomes = []
    for outcome in run(job, Painter(), Settings(batch_size=2, stop=stop)):
        seen += 1
        outcomes.append(outcome)
    assert 3 <= len(outcomes) < 25
    assert set(levels(job)) == {o.output for o in outcomes}, "all that was written is told"


def test_a_full_disk_ends_the_rest_without_work(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.replace
    moved: list[str] = []

    def replace_until_full(source: str, target: str) -> None:
        if len(moved) >= 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        moved.append(target)
        real(source, target)

    monkeypatch.setattr("dptn_cli.io.storage.os.replace", replace_until_full)
    painter = Painter()
    outcomes = list(run(job, painter, Settings(batch_size=1, workers=1)))
    done = [o for o in outcomes if o.status is Status.DONE]
    failed = [o.reason for o in outcomes if o.status is Status.FAILED]
    assert (len(done), len(failed)) == (4, 21)
    assert all("No space left" in reason for reason in failed)
    assert len(painter.batches) < 25, "no inference for what cannot be kept"
    assert not [name for name in os.listdir(job.out) if name.startswith(".")]


def test_a_link_in_the_results_folder_is_not_followed(job: Job, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (job.out / "sub").symlink_to(tmp_path / "elsewhere")
    first = replace(next(job.items()), output="sub/a.png")
    (outcome,) = run(replace(job, planned=1, items=lambda: iter([first])), Painter(), Settings())
    assert outcome.status is Status.FAILED
    assert "leads out" in outcome.reason
    assert not list((tmp_path / "elsewhere").iterdir())


def test_preview_makes_nothing(job: Job) -> None:
    def earlier(output: str, fingerprint: str) -> Status | None:
        return Status.DONE if output == "0_2_1_vis.png" else None

    outcomes = list(dry_run(job, earlier))
    assert sorted(statuses(outcomes).values()) == ["done"] * 24 + ["skipped"]
    assert not list(job.out.iterdir())


def test_preview_decodes_each_source_once(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []

    def decode(data: bytes, crop: Crop | None, size: Size) -> ImageU8:
        decoded.append(data)
        return decode_crop(data, crop, size)

    monkeypatch.setattr("dptn_cli.transfer.reader.decode_crop", decode)
    long_job = replace(job, items=lambda: chain.from_iterable(job.items() for _ in range(20)))
    assert len(list(dry_run(long_job, lambda *_: None))) == 20 * 25
    assert len(decoded) == len(set(decoded)) == len(NAMES)
    decoded.clear()
    assert {o.status for o in dry_run(job, lambda *_: Status.DONE)} == {Status.SKIPPED}
    assert not decoded, "what is done is not decoded at all"


def test_the_target_pose_is_framed_by_its_own_image(tmp_path: Path) -> None:
    """A target image of twice the size has its keypoints in its own pixels."""
    job = make_images_and_job(tmp_path, [("0.png", "1.png")])
    painter = Painter()
    list(run(job, painter, Settings()))
    height, width = TINY_SPEC.image_size
    draw_image(1, (2 * height, 2 * width)).save(tmp_path / "photos" / "1.png")
    (item,) = job.items()
    doubled = np.where(item.target_pose == -1, -1, item.target_pose * 2)
    twice = replace(job, items=lambda: iter([replace(item, target_pose=doubled)]))
    list(run(twice, painter, Settings()))
    first, second = (batch.target_poses for batch in painter.batches)
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_stage_times_are_added_up(job: Job) -> None:
    stages = StageSeconds()
    list(run(job, Painter(), Settings(), stages))
    assert min(stages.read, stages.infer, stages.write) > 0


def test_lanes_run_at_once(job: Job) -> None:
    """Three batches must be in the network together, or the barrier breaks."""
    barrier = threading.Barrier(3, timeout=20)

    class Together(Painter):
        def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
            barrier.wait()
            return super().run(batch)

    items = list(job.items())[:24]
    job = replace(job, planned=24, items=lambda: iter(items))
    outcomes = list(run(job, Together(), Settings(batch_size=4, streams=3)))
    assert {str(outcome.status) for outcome in outcomes} == {"done"}


def test_waiting_is_the_share_in_which_a_stage_had_nothing_to_do() -> None:
    stages = StageSeconds(read=1.0, infer=6.0, write=3.0)
    waiting = stages.idle_shares(10.0, streams=1, workers=2)
    assert waiting == pytest.approx({"inference": 0.4, "reading and writing": 0.8})
    assert stages.idle_shares(2.0, streams=1, workers=2)["inference"] == 0
