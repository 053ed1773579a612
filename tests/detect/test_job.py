"""Detection jobs called from Python."""

import json
import math
import os
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

import pytest
from detectors import MODELS, draw_figure

from dptn_cli.detect import Detection, OpenpifpafDetector, PersonChoice
from dptn_cli.detect.detector import DetectorId
from dptn_cli.detect.job import (
    DetectionRequest,
    detect_images,
    list_images,
    plan_job,
    run_job,
    split_finished,
)
from dptn_cli.detect.log import log_path, read_found
from dptn_cli.enums import Status
from dptn_cli.errors import InputError
from dptn_cli.keypoints import Annotations

SHIPPED = MODELS / "figures-pose.pkl"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with two figures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(("a.png", "b.png")):
        draw_figure(number, (256, 176))[0].save(folder / name)
    return folder


def test_poses_can_be_detected_without_writing_anything(photos: Path) -> None:
    outcomes = list(detect_images(list_images([photos]), OpenpifpafDetector(SHIPPED)))
    assert {(outcome.name, outcome.status) for outcome in outcomes} == {
        ("a.png", Status.DONE), ("b.png", Status.DONE),
    }  # fmt: skip
    assert all(outcome.found_pose is not None for outcome in outcomes)
    assert sorted(photos.parent.iterdir()) == [photos]


def test_images_of_the_same_name_are_refused_even_if_nothing_is_written(
    photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    draw_figure(0, (256, 176))[0].save(tmp_path / "other" / "a.png")
    with pytest.raises(InputError, match="would share one entry"):
        list_images([photos, tmp_path / "other"])
    assert len(list_images([photos, photos / "a.png"])) == 2, "the same image twice counts once"


def test_a_stopped_job_writes_the_poses_it_has_and_resumes(photos: Path, tmp_path: Path) -> None:
    request = DetectionRequest((photos,), tmp_path / "k.csv")
    files, detector = plan_job(request), OpenpifpafDetector(SHIPPED, batch_size=1)
    (first,) = run_job(request, files, detector, lambda: True)
    assert list(Annotations(request.out)) == [first.name]
    outcomes = list(run_job(request, plan_job(request), detector))
    assert [outcome.status for outcome in outcomes] == [Status.SKIPPED, Status.DONE]
    assert list(Annotations(request.out)) == ["a.png", "b.png"]


def test_logs_of_earlier_versions_still_count(photos: Path, tmp_path: Path) -> None:
    """The fingerprint is on users' disks: if it changes, every pose is detected again."""
    request = DetectionRequest((photos / "a.png",), tmp_path / "k.csv", choice=PersonChoice())
    files, detector = plan_job(request), OpenpifpafDetector(SHIPPED)
    (outcome,) = run_job(request, files, detector)
    status = os.stat(photos / "a.png")
    rules = "Choice(person='largest', min_joints=5, threshold=0.15)"
    text = f"1|{detector.id.sha256}|{rules}|{status.st_size}|{status.st_mtime_ns}"
    assert outcome.fingerprint == blake2b(text.encode(), digest_size=16).hexdigest()
    skipped, remaining = split_finished(request, files, detector.id)
    assert (len(skipped), remaining) == (1, [])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("people", math.inf),
        ("people", 10**4000),
        ("people", -1),
        ("picture_size", [math.inf, 4]),
        ("picture_size", [10**400, 4]),
        ("keypoints_y", [10**400] * 18),
        ("keypoints_x", [1e300] * 18),
        ("confidence", [math.nan] * 18),
        ("picture", ["a"] * 3),
    ],
)
def test_lines_of_the_log_with_impossible_numbers_are_ignored(
    tmp_path: Path, key: str, value: object
) -> None:
    line = {
        "picture": "a.png",
        "status": "done",
        "people": 1,
        "fingerprint": "",
        "picture_size": [8, 8],
        "keypoints_y": [1.0] * 18,
        "keypoints_x": [1.0] * 18,
        "confidence": [1.0] * 18,
    }
    log_path(tmp_path / "k.csv").write_text(json.dumps(line) + "\n")
    assert list(read_found(tmp_path / "k.csv")) == ["a.png"]
    log_path(tmp_path / "k.csv").write_text(json.dumps(line | {key: value}) + "\n")
    assert "a.png" not in read_found(tmp_path / "k.csv")


class ReplacingDetector:
    """Stands for any detector: an image is replaced after it was read and before it is yielded."""

    id, device, choice = DetectorId("replacing", "0" * 64), "cpu", PersonChoice(threshold=0.5)

    def detect(self, images: Iterable[tuple[str, Path]]) -> Iterator[Detection]:
        for name, path in list(images):
            draw_figure(7, (256, 176))[0].save(path)
            yield Detection(name, reason="no person found")


def test_an_image_that_is_replaced_while_it_is_looked_at_is_looked_at_again(
    photos: Path, tmp_path: Path
) -> None:
    request = DetectionRequest((photos,), tmp_path / "k.csv", choice=PersonChoice(threshold=0.5))
    files = plan_job(request)
    assert len(list(run_job(request, files, ReplacingDetector()))) == 2
    skipped, remaining = split_finished(request, files, ReplacingDetector.id)
    assert (skipped, len(remaining)) == ([], 2)
