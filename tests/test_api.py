"""The library: what the commands do, from Python, with the same images."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from support import ROOT, Folder, dptn, draw_image, draw_pose, write_annotations

import dptn_cli
from dptn_cli import (
    InputError,
    ModelError,
    PoseTransfer,
    Status,
    detect_poses,
    evaluate_results,
    read_poses,
)


def pixels(path: Path) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(path))


@pytest.fixture
def model(folder: Folder) -> PoseTransfer:
    return PoseTransfer(folder.model, "cpu")


class TestPoses:
    def test_by_image_name(self, folder: Folder) -> None:
        poses = read_poses(folder.path / "keypoints.csv")
        assert list(poses) == ["0.png", "1.png", "2.png", "3.png"]
        assert np.array_equal(poses["2.png"], draw_pose(2))

    def test_of_several_files(self, folder: Folder, tmp_path: Path) -> None:
        more = write_annotations(tmp_path / "more.csv", {"x.png": draw_pose(9)})
        assert len(read_poses(folder.path / "keypoints.csv", str(more))) == 5

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"none\.csv"):
            read_poses(tmp_path / "none.csv")


class TestImages:
    def test_they_are_those_of_a_pair_list(self, folder: Folder, model: PoseTransfer) -> None:
        assert folder.transfer().exit_code == 0
        poses = read_poses(folder.path / "keypoints.csv")
        targets = [poses[f"{i}.png"] for i in (1, 2, 3)]
        images = model(folder.path / "0.png", poses["0.png"], targets, retarget="none")
        for number, image in zip((1, 2, 3), images, strict=True):
            expected = pixels(folder.out / f"0_2_{number}_vis.png").astype(int)
            assert np.abs(np.asarray(image) - expected).max() <= 1

    def test_they_are_those_of_sources_and_poses(self, folder: Folder, model: PoseTransfer) -> None:
        out, poses = folder.out, folder.path / "keypoints.csv"
        arguments = (folder.path / "3.png", "--poses", poses, "--model", folder.model, "-o", out)
        assert dptn("transfer", *arguments).exit_code == 0
        known = read_poses(poses)
        (image,) = model(folder.path / "3.png", known["3.png"], [known["1.png"]])
        assert np.abs(np.asarray(image) - pixels(out / "3_2_1_vis.png").astype(int)).max() <= 1

    def test_a_photo_of_another_size_is_cropped(
        self, folder: Folder, model: PoseTransfer, tmp_path: Path
    ) -> None:
        photo = draw_image(5, (300, 400))
        photo.save(folder.path / "0.png")
        pose = draw_pose(0, (200, 100)) + (50, 150)
        write_annotations(folder.path / "keypoints.csv", {
            "0.png": pose, **{f"{i}.png": draw_pose(i) for i in (1, 2, 3)}
        })  # fmt: skip
        assert folder.transfer("--limit", 3).exit_code == 0
        known = read_poses(folder.path / "keypoints.csv")
        (image,) = model(photo, known["0.png"], [known["1.png"]], retarget="none")
        assert image.size == (40, 64)
        assert (
            np.abs(np.asarray(image) - pixels(folder.out / "0_2_1_vis.png").astype(int)).max() <= 1
        )

    def test_any_kind_of_image_and_any_number_of_poses(
        self, folder: Folder, model: PoseTransfer
    ) -> None:
        image = Image.open(folder.path / "0.png")
        path = folder.path / "0.png"
        kinds: list[Any] = [path, str(path), image, np.asarray(image)]
        targets = [draw_pose(i) for i in range(20)]
        found = [model(kind, draw_pose(0), targets) for kind in kinds]
        assert [len(images) for images in found] == [20] * 4
        for images in found[1:]:
            for one, other in zip(found[0], images, strict=True):
                assert np.array_equal(np.asarray(one), np.asarray(other))
        assert model(image, draw_pose(0), []) == []

    def test_a_joint_is_missing_if_one_coordinate_is(
        self, folder: Folder, model: PoseTransfer
    ) -> None:
        half, whole = draw_pose(1), draw_pose(1)
        half[4, 0], whole[4] = -1, -1
        one, other = model(folder.path / "0.png", draw_pose(0), [half, whole])
        assert np.array_equal(np.asarray(one), np.asarray(other))

    def test_what_cannot_be_used(self, folder: Folder, model: PoseTransfer) -> None:
        image, pose = folder.path / "0.png", draw_pose(0)
        with pytest.raises(InputError, match=r"a pose must be \(18, 2\)"):
            model(image, pose[:17], [pose])
        with pytest.raises(InputError, match="target pose is empty"):
            model(image, pose, [np.full((18, 2), -1)])
        with pytest.raises(InputError, match="no joint of the source pose is inside"):
            model(image, pose + 9000, [pose])
        with pytest.raises(InputError, match=r"none\.png"):
            model(folder.path / "none.png", pose, [pose])
        with pytest.raises(InputError, match=r"\(H, W, 3\) uint8"):
            model(np.zeros((4, 4), np.uint8), pose, [pose])

    def test_a_model_that_is_none(self, folder: Folder) -> None:
        with pytest.raises(ModelError, match="not an ONNX file"):
            PoseTransfer(folder.pairs)
        with pytest.raises(ValueError, match="gpu"):
            PoseTransfer(folder.model, "gpu")


class TestJobs:
    def test_the_same_files_as_the_command(
        self, folder: Folder, model: PoseTransfer, tmp_path: Path
    ) -> None:
        assert folder.transfer("--batch-size", 8).exit_code == 0
        out = tmp_path / "library"
        outcomes = list(model.transfer(folder.pairs, out=out, batch_size=8))
        assert {outcome.status for outcome in outcomes} == {Status.DONE}
        for name, content in folder.results().items():
            assert (out / name).read_bytes() == content
        assert json.loads((out / "run.json").read_text())["state"] == "finished"

    def test_it_resumes(self, folder: Folder, model: PoseTransfer) -> None:
        out = folder.out
        outcomes = model.transfer(folder.pairs, out=out, batch_size=1)
        assert next(outcomes).status is Status.DONE
        outcomes.close()
        assert json.loads((out / "run.json").read_text())["state"] == "interrupted"
        counts = [outcome.status for outcome in model.transfer(folder.pairs, out=out)]
        assert len(counts) == 12
        assert Status.SKIPPED in counts
        assert len(folder.results()) == 12
        again = list(model.transfer(str(folder.pairs), out=str(out)))
        assert {outcome.status for outcome in again} == {Status.SKIPPED}

    def test_sources_in_every_pose(self, folder: Folder, model: PoseTransfer) -> None:
        outcomes = model.transfer(
            sources=[folder.path / "0.png"],
            poses=[folder.path / "keypoints.csv"],
            out=folder.out,
            result_format="jpg",
            limit=3,
        )
        assert [outcome.output for outcome in outcomes] == [f"0_2_{i}_vis.jpg" for i in range(3)]

    def test_the_list_is_checked_at_once(self, folder: Folder, model: PoseTransfer) -> None:
        folder.pairs.write_text("from,to\n0.png,../1.png\n")
        with pytest.raises(InputError, match="leaves its folder"):
            model.transfer(folder.pairs, out=folder.out)
        with pytest.raises(InputError, match="nothing to do"):
            model.transfer(out=folder.out)
        assert not folder.out.exists()

    def test_two_runs_do_not_meet(self, folder: Folder, model: PoseTransfer) -> None:
        first = model.transfer(folder.pairs, out=folder.out)
        next(first)
        with pytest.raises(InputError, match="another `dptn transfer` is writing"):
            next(model.transfer(folder.pairs, out=folder.out))


class TestDetection:
    DETECTOR = str(ROOT / "models" / "figures-pose.pkl")
    FIGURES = ROOT / "examples" / "figures" / "images"

    def test_without_a_file(self) -> None:
        images = [self.FIGURES / "p0000_0.png", self.FIGURES / "p0001_0.png"]
        outcomes = list(detect_poses(images, detector=self.DETECTOR))
        known = read_poses(self.FIGURES.parent / "keypoints.csv")
        assert {outcome.name for outcome in outcomes} == {path.name for path in images}
        for outcome in outcomes:
            assert outcome.found_pose is not None
            both = (outcome.found_pose.pose != -1) & (known[outcome.name] != -1)
            assert np.abs(outcome.found_pose.pose - known[outcome.name])[both].mean() < 4

    def test_with_a_file_it_is_the_resumable_job(self, tmp_path: Path) -> None:
        out, image = tmp_path / "k.csv", self.FIGURES / "p0000_0.png"
        (first,) = detect_poses(image, out=out, detector=self.DETECTOR)
        (again,) = detect_poses(str(image), out=str(out), detector=self.DETECTOR)
        assert (first.status, again.status) == (Status.DONE, Status.SKIPPED)
        assert list(read_poses(out)) == [image.name]

    def test_what_cannot_be_used(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no such file or folder"):
            detect_poses(tmp_path / "none", detector=self.DETECTOR)
        with pytest.raises(InputError, match="no such file"):
            detect_poses(self.FIGURES, detector="none.pkl")


class TestScores:
    def test_they_are_those_of_the_command(self, folder: Folder, tmp_path: Path) -> None:
        assert folder.transfer().exit_code == 0
        out = tmp_path / "report"
        arguments = ("--protocol", "standard", "--truth", folder.path, "-o", out, "-q")
        dptn("evaluate", folder.out, *arguments)
        report = evaluate_results(folder.out, truth=str(folder.path), protocol="standard")
        document = json.loads((out / "report.json").read_text())
        scores = {f"standard.{name}": s for name, s in document["protocols"]["standard"].items()}
        assert report.scores == scores
        assert {"standard.ssim", "standard.psnr"} <= scores.keys()

    def test_what_cannot_be_used(self, folder: Folder, tmp_path: Path) -> None:
        with pytest.raises(InputError):
            evaluate_results(tmp_path / "nowhere")
        with pytest.raises(ValueError, match="yesterday"):
            evaluate_results(folder.out, protocol="yesterday")


def test_names_are_imported_when_they_are_used() -> None:
    code = "import sys, dptn_cli; print('numpy' in sys.modules); dptn_cli.PoseTransfer"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_every_public_name_is_there() -> None:
    assert set(dptn_cli.__all__) <= set(dir(dptn_cli))
    assert all(getattr(dptn_cli, name) is not None for name in dptn_cli.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        dptn_cli.Nothing  # noqa: B018
