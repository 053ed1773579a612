"""Finding images: files, folders, patterns."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support import draw_image

from dptn_cli.errors import InputError
from dptn_cli.io.image_folders import find_images
from dptn_cli.io.left_out import LeftOut
from dptn_cli.io.paths import is_hidden, parse_location


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("b.jpg", "sub/a.PNG", "sub/deep/c.webp", "notes.txt", "results/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(*paths: Path, exclude: Path | None = None) -> list[str]:
    return [image.name for image in find_images(paths, exclude)]


def test_a_folder_is_read_with_those_in_it(photos: Path) -> None:
    assert names(photos, exclude=photos / "results") == ["b.jpg", "sub/a.PNG", "sub/deep/c.webp"]


def test_a_file_is_an_image_of_its_folder(photos: Path) -> None:
    (found,) = find_images([photos / "sub/a.PNG"])
    assert (found.folder, found.name) == ((photos / "sub").resolve(), "a.PNG")
    assert found.path.is_file()


def test_patterns_that_the_shell_left_alone(photos: Path) -> None:
    assert names(photos / "*") == ["b.jpg", "x.png", "a.PNG", "deep/c.webp"]
    assert names(photos / "sub" / "*.PNG") == ["a.PNG"]
    with pytest.raises(InputError, match=r"\*\.tif: nothing matches"):
        names(photos / "*.tif")


def test_a_name_with_brackets_is_no_pattern(photos: Path) -> None:
    (photos / "one[1].jpg").touch()
    assert names(photos / "one[1].jpg") == ["one[1].jpg"]


def test_what_is_not_there_is_an_error(photos: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        names(photos / "nowhere")


def test_results_of_earlier_runs_are_no_images_to_start_from(tmp_path: Path) -> None:
    for name in ("a.png", "earlier/b.png", "earlier/deep/c.png", "other/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "earlier" / "manifest.jsonl").touch()
    assert [one.name for one in find_images([tmp_path])] == ["a.png", "other/d.png"]
    asked_for = [one.name for one in find_images([tmp_path / "earlier"])]
    assert asked_for == ["b.png", "deep/c.png"], "a folder that is named is meant"


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def search(*paths: Path, exclude: Path | None = None) -> tuple[list[str], tuple[str, ...]]:
    """The names that are found, and the notes on what is left out."""
    left_out = LeftOut()
    return [image.name for image in find_images(paths, exclude, left_out)], left_out.notes()


def test_a_manifest_of_another_tool_makes_no_results(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "batch/eve.png", "results/b.png", "results/deep/c.png")
    (tmp_path / "batch" / "manifest.jsonl").write_text('{"version":"1.1"}\n{"type":"images"}\n')
    line = '{"output": "b.png", "status": "done", "fingerprint": "f"}\n'
    (tmp_path / "results" / "manifest.jsonl").write_text(line)
    assert search(tmp_path) == (
        ["a.png", "batch/eve.png"],
        (f"2 images left out: results of dptn transfer in {tmp_path / 'results'}",),
    )


def test_the_folder_that_is_written_to(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "out/b.png", "out/in/c.png")
    found, (note,) = search(tmp_path, exclude=tmp_path / "out")
    assert found == ["a.png"]
    assert note.startswith(f"2 images left out: this run writes to {tmp_path / 'out'}; ")
    found, (note,) = search(tmp_path / "out", exclude=tmp_path / "out")
    assert found == []
    assert note.startswith("2 images left out")
    assert search(tmp_path / "out" / "in", exclude=tmp_path / "out") == (["c.png"], ())


class TestHiddenFiles:
    LEFT_BEHIND = (
        "._a.png", "__MACOSX/._a.png", "__MACOSX/x.png", "@eaDir/a.png/THUMB.jpg", ".git/x.png",
        ".thumbnails/a.png", "#recycle/a.png", "$RECYCLE.BIN/a.png", "sub/.hidden.jpg",
        "sub/lost+found/a.png", "Thumbs.db", "desktop.ini",
    )  # fmt: skip

    def test_they_are_passed_over_without_a_word(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.png", "sub/b.png", *self.LEFT_BEHIND)
        assert search(tmp_path) == (["a.png", "sub/b.png"], ())
        assert search(tmp_path / "*") == (["a.png", "b.png"], ())

    def test_behind_urls(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.png", "sub/b.png", *self.LEFT_BEHIND)
        assert search(parse_location(f"file://{tmp_path}")) == (["a.png", "sub/b.png"], ())
        bucket = parse_location("memory://hidden-files")
        for name in ("a.png", "sub/b.png", *self.LEFT_BEHIND):
            (bucket / name).write_bytes(b"")
        assert search(bucket) == (["a.png", "sub/b.png"], ())

    def test_what_is_named_is_meant(self, tmp_path: Path) -> None:
        touch(tmp_path, ".cache/a.png", ".cache/.b.png")
        assert search(tmp_path / ".cache")[0] == ["a.png"]
        assert search(tmp_path / ".cache" / ".b.png")[0] == [".b.png"]
        assert search(tmp_path / ".cache" / "*.png")[0] == ["a.png"]

    @given(st.text(min_size=1))
    def test_by_its_own_name_alone(self, name: str) -> None:
        assert is_hidden(f".{name}")
        assert is_hidden(name) == (name.startswith(".") or is_hidden(name.upper()))


class TestKinds:
    @pytest.mark.parametrize(
        "image_format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "AVIF"]
    )
    @pytest.mark.parametrize("name", ["photo", "scan.0001", "x.dat", "y.heic"])
    def test_images_by_their_first_bytes(
        self, tmp_path: Path, image_format: str, name: str
    ) -> None:
        draw_image(1).save(tmp_path / name, image_format)
        assert search(tmp_path) == ([name], ())
        assert search(tmp_path / "*") == ([name], ())

    def test_images_by_their_suffix(self, tmp_path: Path) -> None:
        listed = ["a.jfif", "b.JPG", "c.avif", "d.jpe", "e.Tif", "f.pgm"]
        touch(tmp_path, *listed)
        assert search(tmp_path) == (listed, ())

    def test_other_files_are_not_mentioned(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.png", "keypoints.csv", "notes.txt", "b.json", "README", "c.png~")
        for name, text in (("d", "BMW cars"), ("e", "P6 rules"), ("f.x", "GIF"), ("g", "II*")):
            (tmp_path / name).write_text(text)
        Image.new("RGB", (4, 4)).save(tmp_path / "h.png.part", "PNG")
        assert search(tmp_path) == (["a.png"], ())

    def test_kinds_that_are_not_read_are_counted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
        touch(tmp_path, "a.png", "IMG_1.HEIC", *(f"{i}.cr2" for i in range(7)))
        (tmp_path / "shared").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
        assert search(tmp_path) == (
            ["a.png"],
            (
                "2 HEIC images left out: pip install 'dptn-cli[heic]'",
                "7 files left out, of kinds that are not read: "
                "0.cr2, 1.cr2, 2.cr2, 3.cr2, 4.cr2, ...",
            ),
        )

    def test_heic_is_an_image_where_it_can_be_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "packages").mkdir()
        (tmp_path / "packages" / "pillow_heif.py").write_text("raise AssertionError('imported')")
        monkeypatch.syspath_prepend(tmp_path / "packages")
        touch(tmp_path / "photos", "a.heic", "b.HIF")
        assert search(tmp_path / "photos") == (["a.heic", "b.HIF"], ())


class TestLinks:
    def test_to_files_and_folders_anywhere(self, tmp_path: Path) -> None:
        touch(tmp_path, "store/blob0", "set/a.png", "set/deep/b.png", "photos/top.png")
        (tmp_path / "photos" / "c.png").symlink_to("../store/blob0")
        (tmp_path / "photos" / "set").symlink_to(tmp_path / "set")
        assert search(tmp_path / "photos") == (
            ["c.png", "set/a.png", "set/deep/b.png", "top.png"],
            (),
        )
        assert search(parse_location(f"file://{tmp_path}/photos")) == search(tmp_path / "photos")

    def test_each_folder_is_searched_once(self, tmp_path: Path) -> None:
        touch(tmp_path, "photos/z/a.png", "elsewhere/b.png")
        for name in ("photos/a", "photos/z/circle"):
            (tmp_path / name).symlink_to(tmp_path / "photos" / "z")
        for name in ("photos/y", "photos/x"):
            (tmp_path / name).symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere" / "up").symlink_to(tmp_path / "photos")
        assert search(tmp_path / "photos") == (["x/b.png", "z/a.png"], ())

    def test_a_link_to_results(self, tmp_path: Path) -> None:
        touch(tmp_path, "photos/a.png", "earlier/b.png", "earlier/manifest.jsonl")
        (tmp_path / "photos" / "old").symlink_to(tmp_path / "earlier")
        found, (note,) = search(tmp_path / "photos")
        assert found == ["a.png"]
        assert note.startswith("1 image left out: results of dptn transfer in ")

    def test_those_that_lead_nowhere_are_counted(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.png")
        (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
        (tmp_path / "c").symlink_to(tmp_path / "c")
        (tmp_path / ".d").symlink_to(tmp_path / "gone")
        found, (note,) = search(tmp_path)
        assert found == ["a.png"]
        assert note.startswith("2 left out, not readable: b.png (broken link), c (")
        found, (note,) = search(tmp_path / "?.png")
        assert (found, note) == (["a.png"], "1 left out, not readable: b.png (broken link)")
