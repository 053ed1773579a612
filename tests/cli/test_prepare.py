"""`dptn prepare`: raw DeepFashion, and your own images."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import LINE_TIME, dptn, images
from typer.testing import Result

from dptn_cli.io.files import write_atomic
from dptn_cli.prepare.deepfashion import published_name
from dptn_cli.prepare.own import read_identities

RAW = {
    "img/WOMEN/Blouses_Shirts/id_00000001/02_1_front.jpg": (
        "fashionWOMENBlouses_Shirtsid0000000102_1front.jpg"
    ),
    "img/MEN/Denim/id_00000080/01_7_additional.jpg": (
        "fashionMENDenimid0000008001_7additional.jpg"
    ),
    "img/WOMEN/Dresses/id_00007162/01_4_full.jpg": "fashionWOMENDressesid0000716201_4full.jpg",
}


def message(result: Result) -> str:
    assert "Traceback" not in result.stderr
    return " ".join(LINE_TIME.sub("", result.stderr).split())


def full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(("raw", "name"), RAW.items())
def test_names_are_those_of_the_published_lists(raw: str, name: str) -> None:
    assert published_name(Path(raw)) == name


@pytest.mark.parametrize("raw", ["02_1_front.jpg", "a/b/c/02_1_front.jpg", "MEN/a/b/front.jpg"])
def test_other_images_have_no_published_name(raw: str) -> None:
    assert published_name(Path(raw)) is None


class TestDeepFashion:
    @pytest.fixture
    def raw(self, tmp_path: Path) -> Path:
        """Three raw images whose pixels hold their column, and complete lists."""
        folder = tmp_path / "raw"
        columns = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3))
        for path in RAW:
            (folder / path).parent.mkdir(parents=True)
            Image.fromarray(columns).save(folder / path, quality=100)
        names = list(RAW.values())
        (folder / "train.lst").write_text("\n".join(names[:2]) + "\n")
        (folder / "test.lst").write_text(names[2] + "\n")
        for phase in ("train", "test"):
            for kind in ("annotation", "pairs"):
                (folder / f"fasion-resize-{kind}-{phase}.csv").write_text("from,to\n")
        return folder

    def prepare(self, raw: Path, *more: object) -> Result:
        return dptn("prepare", "deepfashion", raw, "-o", raw.parent / "data", *more)

    def test_images_are_cropped_and_named(self, raw: Path) -> None:
        result = self.prepare(raw)
        assert result.exit_code == 0, result.stderr
        data = raw.parent / "data"
        assert [p.name for p in images(data / "train")] == sorted(list(RAW.values())[:2])
        (crop,) = images(data / "test")
        image = np.asarray(Image.open(crop))
        assert image.shape == (256, 176, 3)
        assert abs(image[100, :, 0].astype(int) - np.arange(40, 216)).max() <= 3
        assert (data / "fasion-resize-pairs-train.csv").exists()

    def test_a_second_run_keeps_the_images(self, raw: Path) -> None:
        self.prepare(raw)
        data = raw.parent / "data"
        before = {path: path.stat().st_mtime_ns for path in images(data)}
        assert self.prepare(raw).exit_code == 0
        assert {path: path.stat().st_mtime_ns for path in images(data)} == before

    def test_everything_missing_is_reported(self, raw: Path) -> None:
        paths = list(RAW)
        (raw / paths[0]).unlink()
        (raw / paths[1]).write_bytes(b"broken")
        (raw / "fasion-resize-pairs-test.csv").unlink()
        result = self.prepare(raw)
        assert result.exit_code == 1
        text = message(result)
        assert f"1 image of train.lst is not among the raw images: {RAW[paths[0]]}" in text
        assert "01_7_additional.jpg: not an image" in text
        assert "fasion-resize-pairs-test.csv is missing" in text
        assert len(images(raw.parent / "data")) == 1

    def test_many_missing_images_are_one_line(self, raw: Path) -> None:
        for name in list(RAW)[:2]:
            (raw / name).unlink()
        with (raw / "train.lst").open("a") as file:
            file.writelines(f"{number:03}.jpg\n" for number in range(100))
        result = self.prepare(raw, "--quiet")
        assert result.exit_code == 1
        assert "102 images of train.lst are not among the raw images: " in message(result)
        assert "000.jpg, 001.jpg, 002.jpg and 97 more" in message(result)

    def test_raw_images_in_no_list(self, raw: Path) -> None:
        (raw / "test.lst").write_text("")
        result = self.prepare(raw)
        assert result.exit_code == 0, result.stderr
        name = list(RAW.values())[2]
        assert f"1 raw image is in no list, and is left out: {name}" in message(result)

    def test_another_size(self, raw: Path) -> None:
        Image.new("RGB", (750, 1101)).save(raw / next(iter(RAW)))
        result = self.prepare(raw)
        assert result.exit_code == 1
        assert "1101x750 pixels (HxW), but raw images have 256x256" in message(result)

    def test_nothing_to_crop_is_an_error(self, raw: Path) -> None:
        for path in RAW:
            (raw / path).write_bytes(b"broken")
        result = self.prepare(raw)
        assert result.exit_code == 2
        assert "not a single image could be cropped" in message(result)
        assert "01_7_additional.jpg: not an image" in message(result)

    def test_without_lists_it_is_not_ready(self, raw: Path) -> None:
        (raw / "fasion-resize-pairs-train.csv").unlink()
        result = self.prepare(raw, "--quiet")
        assert result.exit_code == 1
        assert "fasion-resize-pairs-train.csv is missing" in message(result)
        assert "not ready for `dptn train`" in message(result)
        assert result.stdout == ""

    def test_larger_images_beside_the_raw_ones(self, raw: Path) -> None:
        for path in RAW:
            large = raw / path.replace("img/", "img_highres/")
            large.parent.mkdir(parents=True)
            Image.new("RGB", (750, 1101)).save(large)
        result = self.prepare(raw)
        assert result.exit_code == 0, result.stderr
        assert len(images(raw.parent / "data")) == 3

    def test_half_a_list_is_copied_again(self, raw: Path) -> None:
        name = "fasion-resize-pairs-train.csv"
        (raw / name).write_text("from,to\na,b\n")
        (raw.parent / "data").mkdir()
        (raw.parent / "data" / name).write_text("from,t")
        assert self.prepare(raw).exit_code == 0
        assert (raw.parent / "data" / name).read_text() == "from,to\na,b\n"

    def test_a_list_that_cannot_be_copied(self, raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dptn_cli.io.files.write_atomic", full_disk)
        result = self.prepare(raw)
        assert result.exit_code == 1
        assert "train.csv: cannot be written: No space left" in message(result)
        assert "not ready" in message(result)

    def test_no_lists(self, raw: Path) -> None:
        (raw / "train.lst").unlink()
        result = self.prepare(raw)
        assert result.exit_code == 2
        assert "train.lst: No such file" in message(result)

    def test_a_folder_without_listed_images(self, raw: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        result = dptn(
            "prepare", "deepfashion", tmp_path / "empty", "--lists", raw, "-o", tmp_path / "data"
        )
        assert result.exit_code == 2
        assert "none of the 3 listed images is there" in message(result)

    def test_a_listed_name_that_leaves_the_folder(self, raw: Path) -> None:
        (raw / "train.lst").write_text("../../evil.jpg\n")
        result = self.prepare(raw)
        assert result.exit_code == 2
        assert "leaves its folder" in message(result)


class TestOwn:
    @pytest.fixture
    def photos(self, figures: Path, tmp_path: Path) -> Path:
        """Two people in three images each, named `p0000_0.png` ..., with keypoints."""
        folder = tmp_path / "photos"
        folder.mkdir()
        for path in images(figures / "train"):
            (folder / path.name).write_bytes(path.read_bytes())
        keypoints = (figures / "fasion-resize-annotation-train.csv").read_text()
        (folder / "keypoints.csv").write_text(keypoints)
        return folder

    def prepare(self, photos: Path, *more: object) -> Result:
        return dptn("prepare", "own", photos, "-o", photos.parent / "data", *more)

    def pairs(self, photos: Path, phase: str) -> list[tuple[str, str]]:
        with (photos.parent / "data" / f"pairs-{phase}.csv").open() as file:
            return [(row["from"], row["to"]) for row in csv.DictReader(file)]

    def test_the_prepared_data_can_be_trained_on(self, photos: Path, tmp_path: Path) -> None:
        result = self.prepare(photos)
        assert result.exit_code == 0, result.stderr
        train, test = self.pairs(photos, "train"), self.pairs(photos, "test")
        assert len(train) == len(test) == 6
        people = [
            {name.split("_")[0] for pair in phase for name in pair} for phase in (train, test)
        ]
        assert not people[0] & people[1], "split by person"
        trained = dptn(
            "train", photos.parent / "data", "-o", tmp_path / "run", "--dataset", "mine",
            "--image-size", "64x48", "--width", "8", "--epochs", "1", "--constant-epochs", "1",
            "--no-perceptual", "--batch-size", "3", "--workers", "0",
        )  # fmt: skip
        assert trained.exit_code == 0, trained.stderr

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ("{name},b", "who.csv, line 3: {name} is b here, and a in an earlier line"),
            ("../x.png,b", "who.csv, line 3: '../x.png'"),
        ],
    )
    def test_identities_that_cannot_be_used(self, photos: Path, row: str, reason: str) -> None:
        name = next(photos.glob("*.png")).name
        who = photos.parent / "who.csv"
        who.write_text(f"name,identity\n{name},a\n{row.format(name=name)}\n")
        result = self.prepare(photos, "--identities", who)
        assert result.exit_code == 2
        assert reason.format(name=name) in result.stderr

    def test_blank_identities_are_none(self, tmp_path: Path) -> None:
        who = tmp_path / "who.csv"
        who.write_text("name,identity\na.png,x\nb.png, \n ,y\nc.png\na.png, x\n")
        assert read_identities(who) == {"a.png": "x"}

    def test_identities_from_a_csv(self, photos: Path) -> None:
        names = [path.name for path in images(photos)]
        rows = [f"{name},{'anna' if i < 4 else 'bert'}" for i, name in enumerate(names)]
        (photos.parent / "who.csv").write_text("\n".join(["name,identity", *rows]) + "\n")
        result = self.prepare(photos, "--identities", photos.parent / "who.csv")
        assert result.exit_code == 0, result.stderr
        assert sorted(len(self.pairs(photos, phase)) for phase in ("train", "test")) == [2, 12]

    def test_no_test_phase(self, photos: Path) -> None:
        assert self.prepare(photos, "--test-share", "0").exit_code == 0
        assert len(self.pairs(photos, "train")) == 12
        assert not (photos.parent / "data" / "test").exists()

    def test_a_second_run_restores_what_is_missing(self, photos: Path) -> None:
        def files() -> dict[Path, bytes]:
            return {p: p.read_bytes() for p in data.rglob("*") if p.is_file()}

        data = photos.parent / "data"
        assert self.prepare(photos).exit_code == 0
        before = files()
        (data / "pairs-train.csv").unlink()
        next(path for path in images(data)).unlink()
        assert self.prepare(photos).exit_code == 0
        assert files() == before

    def test_another_split_is_refused(self, photos: Path) -> None:
        assert self.prepare(photos).exit_code == 0
        before = sorted((photos.parent / "data").rglob("*"))
        result = self.prepare(photos, "--test-share", "0")
        assert result.exit_code == 2
        assert "left from another preparation; remove" in message(result)
        assert sorted((photos.parent / "data").rglob("*")) == before
        assert len(self.pairs(photos, "train")) == 6

    def test_lists_of_another_preparation(self, photos: Path) -> None:
        (photos.parent / "data").mkdir()
        (photos.parent / "data" / "fasion-resize-pairs-train.csv").touch()
        result = self.prepare(photos)
        assert result.exit_code == 2
        assert "fasion-resize-pairs-train.csv: left from another" in message(result)

    @pytest.mark.parametrize("share", ["0", "0.5"])
    def test_not_onto_the_images_themselves(self, photos: Path, share: str) -> None:
        moved = photos.rename(photos.parent / "train")
        result = dptn("prepare", "own", moved, "-o", moved.parent, "--test-share", share)
        assert result.exit_code == 2
        assert "the images themselves are in it" in message(result)

    def test_the_only_person_is_for_training(self, photos: Path) -> None:
        result = self.prepare(photos, "--identity-pattern", "(p)", "--test-share", "0.9")
        assert result.exit_code == 0, result.stderr
        assert len(self.pairs(photos, "train")) == 30

    @pytest.mark.parametrize("failing", ["p0000_1.png", "annotation-train.csv", "pairs-train.csv"])
    def test_a_full_disk(self, photos: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
        def write(path: Path, content: object) -> None:
            full_disk() if path.name == failing else write_atomic(path, content)  # type: ignore

        monkeypatch.setattr("dptn_cli.io.files.write_atomic", write)
        result = self.prepare(photos, "--test-share", "0")
        assert result.exit_code == 2
        assert f"{failing}: cannot be written: No space left" in message(result)
        assert not list((photos.parent / "data").rglob(failing))

    def test_names_that_would_be_copied_elsewhere(self, photos: Path) -> None:
        keypoints = (photos / "keypoints.csv").read_text()
        name = f"../{photos.name}/p0000_0.png"
        (photos / "keypoints.csv").write_text(keypoints.replace("p0000_0.png", name))
        result = self.prepare(photos, "--identity-pattern", "(p.*)_")
        assert result.exit_code == 1
        assert "leaves its folder" in message(result)
        assert {p.parent.name for p in photos.parent.rglob("p*.png")} == {"photos", "train", "test"}

    def test_unusable_images_are_reported(self, photos: Path) -> None:
        names = [path.name for path in images(photos)]
        (photos / names[0]).write_bytes(b"broken")
        Image.new("RGB", (30, 30)).save(photos / names[1])
        result = self.prepare(photos)
        assert result.exit_code == 1
        text = message(result)
        assert f"{names[0]}:" in text
        assert f"{names[1]}: 30x30, most have 64x48" in text
        assert f"{names[2]}: the only image of" in text

    def test_listed_images_that_are_not_there(self, photos: Path) -> None:
        """Keypoints of a whole data set beside a part of its images."""
        with (photos / "keypoints.csv").open("a") as file:
            lines = (photos / "keypoints.csv").read_text().splitlines()
            keypoints = lines[1].partition(":")[2]
            file.writelines(f"other{n % 4}_{n:02}.png:{keypoints}\n" for n in range(20))
        result = self.prepare(photos)
        assert result.exit_code == 0, result.stderr
        assert message(result) == (
            f"20 listed images are not in {photos}, and are passed over: other0_00.png, "
            "other0_04.png, other0_08.png, other0_12.png, other0_16.png and 15 more "
            f"{photos.parent / 'data'}: ready for `dptn train`"
        )
        assert len(self.pairs(photos, "train")) == 6

    def test_images_that_are_not_listed(self, photos: Path) -> None:
        for name in ("q_0.png", "sub/q_1.png"):
            (photos / name).parent.mkdir(exist_ok=True)
            Image.new("RGB", (48, 64)).save(photos / name)
        keypoints = (photos / "keypoints.csv").read_text()
        (photos / "keypoints.csv").write_text(keypoints.replace("p0000_0.png", "p0000-0.png"))
        (photos / "p0000_0.png").rename(photos / "p0000-0.png")
        result = self.prepare(photos)
        assert result.exit_code == 1
        text = message(result)
        assert f"2 images in {photos} have no keypoints: q_0.png, sub/q_1.png" in text
        assert f"1 image in {photos} has no identity: p0000-0.png" in text
        assert self.prepare(photos, "-o", photos / "data").exit_code == 1
        assert message(self.prepare(photos, "-o", photos / "data")).count("no keypoints") == 1

    def test_keypoints_of_other_images(self, photos: Path) -> None:
        for path in images(photos):
            path.rename(path.with_name(f"new_{path.name}"))
        result = self.prepare(photos)
        assert result.exit_code == 2
        text = message(result)
        assert "nobody has two usable images: 6 listed images are not in" in text
        assert "6 images in" in text

    def test_nobody_with_two_images(self, photos: Path) -> None:
        result = self.prepare(photos, "--identity-pattern", "(.+)")
        assert result.exit_code == 2
        assert "nobody has two usable images" in message(result)

    @pytest.mark.parametrize(("pattern", "words"), [("(", "not a regular"), ("p", "has no group")])
    def test_a_pattern_that_cannot_be_used(self, photos: Path, pattern: str, words: str) -> None:
        result = self.prepare(photos, "--identity-pattern", pattern)
        assert result.exit_code == 2
        assert words in message(result)
