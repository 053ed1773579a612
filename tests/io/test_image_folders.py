"""Finding images: files, folders, patterns."""

from pathlib import Path

import pytest

from dptn_cli.errors import InputError
from dptn_cli.io.image_folders import find_images


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
