"""Which image an entry of a pose file means, if the two are not spelled alike."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dptn_cli.errors import InputError
from dptn_cli.keypoints import PoseFiles
from dptn_cli.keypoints.image_names import NameIndex, normalize_name

PARTS = st.from_regex(r"[a-zA-Z0-9äé_-]{1,6}", fullmatch=True)
SUFFIXES = st.sampled_from([".jpg", ".JPG", ".png", ".webp"])
NAMES = st.builds(lambda folders, stem, end: "/".join([*folders, stem + end]),
                  st.lists(PARTS, max_size=3), PARTS, SUFFIXES)  # fmt: skip
SPELLINGS: list[Callable[[str], str]] = [
    lambda name: name.replace("/", "\\"),
    lambda name: f"./{name}",
    lambda name: f"/{name}",
    lambda name: f"C:/{name}",
    lambda name: "D:\\" + name.replace("/", "\\"),
    lambda name: name.replace("/", "//"),
    lambda name: f"  {name} ",
    lambda name: f"../{name}",
    lambda name: unicodedata.normalize("NFD", name),
]


def pose_files(path: Path, *names: object) -> PoseFiles:
    """Return a result file whose person of the image at position i has their nose at x = i + 10."""
    results = [
        {"image_id": name, "keypoints": [i + 10.0, 20.0, 1.0] + [i + 50.0, 60.0, 1.0] * 16}
        for i, name in enumerate(names)
    ]
    path.write_text(json.dumps(results))
    return PoseFiles(path)


def position(files: PoseFiles, name: str, *images: str) -> int | None:
    """Return the position of the entry that is found for an image of a job with these images."""
    found = files.find(name, is_other_image=images.__contains__)
    return None if found is None else round(found.pose[0, 1]) - 10


@given(NAMES)
def test_every_spelling_of_a_name_is_one_name(name: str) -> None:
    plain = normalize_name(name)
    assert plain == unicodedata.normalize("NFC", name)
    assert {normalize_name(spell(name)) for spell in SPELLINGS} == {plain}
    assert normalize_name(plain) == plain


@given(st.text(max_size=20))
def test_a_normalized_name_stays_inside_a_folder(text: str) -> None:
    parts = normalize_name(text).split("/")
    assert ".." not in parts
    assert "\\" not in normalize_name(text)


@given(name=NAMES, folders=st.lists(PARTS, max_size=3), suffix=SUFFIXES)
def test_an_only_candidate_of_other_folders_and_suffix_is_found(
    name: str, folders: list[str], suffix: str
) -> None:
    stem = name.rpartition("/")[2].rpartition(".")[0]
    other = "/".join([*folders, stem + suffix])
    assert NameIndex([other, "something else.jpg"]).find(name) == [other]
    assert NameIndex(["something else.jpg"]).find(name) == []


@pytest.mark.parametrize(
    ("entries", "image", "expected"),
    [
        (["anna.jpg"], "anna.png", 0),
        (["images/1/anna.png", "images/2/bob.png"], "anna.png", 0),
        (["/data/x/sub/anna.png", "/data/x/top/anna.png"], "sub/anna.png", 0),
        (["a/anna.jpg", "a/anna.png"], "b/anna.png", 1),
        (["a/anna.png", "b/anna.png"], "anna.png", None),
        (["a/anna.png", "b/anna.png"], "b/anna.png", 1),
        ([12, 13], "0013.png", 1),
        ([12, 13], "sub/12.png", 0),
        ([12], "000000000012.jpg", 0),
        (["12"], "0012.png", None),
        (["dora.png"], "anna.png", None),
    ],
)
def test_the_likeliest_entry_is_used(
    tmp_path: Path, entries: list[object], image: str, expected: int | None
) -> None:
    assert position(pose_files(tmp_path / "k.json", *entries), image) == expected


def test_an_entry_that_is_an_image_itself_means_no_other(tmp_path: Path) -> None:
    files = pose_files(tmp_path / "k.json", "a/anna.png")
    assert position(files, "b/anna.png", "a/anna.png", "b/anna.png") is None


@pytest.mark.parametrize("entry", ["anna.jpg", "anna", "anna.webp"])
def test_the_image_of_the_same_folders_has_the_entry(tmp_path: Path, entry: str) -> None:
    """Whichever of them is asked for first."""
    images = ("a/anna.PNG", "anna.PNG")
    files = pose_files(tmp_path / "k.json", entry)
    assert position(files, "a/anna.PNG", *images) is None
    assert position(files, "anna.PNG", *images) == 0


def test_an_entry_is_never_used_for_two_images(tmp_path: Path) -> None:
    files = pose_files(tmp_path / "k.json", "images/anna.png", "bob.png")
    assert position(files, "a/anna.png") == 0
    assert position(files, "a/anna.png") == 0, "the same image may ask again"
    with pytest.raises(InputError, match=r"images/anna.png may be those of a/anna.png or of b/"):
        files.find("b/anna.png")
    assert position(files, "bob.png") == 1
    assert position(files, "x/bob.png") is None, "bob.png has its own image"


def test_csv_names_are_normalized_too(tmp_path: Path) -> None:
    path = tmp_path / "k.csv"
    ys, xs = list(range(10, 28)), list(range(30, 48))
    path.write_text(f"name:keypoints_y:keypoints_x\nsub\\anna.jpg: {ys}: {xs}\n")
    assert list(PoseFiles(path).names()) == ["sub/anna.jpg"]
    for name in ("sub/anna.jpg", "sub\\anna.jpg", "anna.png"):
        found = PoseFiles(path).find(name)
        assert found is not None
        np.testing.assert_array_equal(found.pose[:, 0], ys)


def test_unused_files_are_named_with_an_example(tmp_path: Path) -> None:
    used = tmp_path / "used.json"
    pose_files(used, "a.png")
    unused = tmp_path / "unused.json"
    pose_files(unused, "b.png", "c.png")
    files = PoseFiles(used, unused)
    files.find("a.png")
    assert list(files.unused()) == [(unused, "b.png")]
