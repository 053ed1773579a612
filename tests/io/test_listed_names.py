"""Names in lists: relative, absolute below the folder of images, and those that are neither."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dptn_cli.errors import InputError
from dptn_cli.io.listed_names import ListedNames
from dptn_cli.io.paths import checked_name, parse_location

parts = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/\\"), min_size=1
)


@given(st.lists(parts, min_size=1, max_size=3))
def test_an_absolute_name_is_the_name_below_its_folder(some: list[str]) -> None:
    name = "/".join(some)
    try:
        expected = checked_name(name)
    except InputError:
        return
    names = ListedNames(Path("/data/my photos"))
    assert names.name_below(f"/data/my photos/{name}") == expected


@given(st.text(max_size=60))
def test_no_name_leaves_the_folder(name: str) -> None:
    folder = Path("/data/photos")
    for text in (name, f"/data/photos/{name}", f"file:///data/photos/{name}", f"~/{name}"):
        try:
            below = ListedNames(folder).name_below(text)
        except InputError as error:
            assert "\n" not in str(error)
        else:
            assert os.path.normpath(folder / below).startswith("/data/photos/")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/data/x.jpg", "/data/x.jpg is not in the folder of images /data/photos; .*--images"),
        ("/data/photos2/x.jpg", "is not in the folder"),
        ("/data/photos/../x.jpg", "is not in the folder"),
        ("/data/photos", "not a file name"),
        ("../x.jpg", "leaves its folder"),
        ("file:///x.jpg", "/x.jpg is not in the folder"),
        ("s3://bucket/x.jpg", "s3://bucket/x.jpg is not in the folder"),
        ("C:\\photos\\x.jpg", "absolute Windows path"),
        ("c:/photos/x.jpg", "absolute Windows path"),
        ("\\\\server\\photos\\x.jpg", "absolute Windows path"),
        ("/data/photos/a\nb.jpg", "is not a file name"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="names of POSIX")
def test_names_that_are_not_in_the_folder(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ListedNames(Path("/data/photos")).name_below(name)


def test_links_and_relative_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "elsewhere").symlink_to("/")
    monkeypatch.chdir(tmp_path)
    for folder in (Path("real"), Path("link"), tmp_path / "link", Path("./sub/../real")):
        names = ListedNames(folder)
        for start in ("real", "link", "link/../real", "/link", "real/sub/.."):
            assert names.name_below(f"{tmp_path}/{start}/sub/a.jpg") == "sub/a.jpg"
        with pytest.raises(InputError, match="is not in the folder"):
            names.name_below(f"{tmp_path}/elsewhere/../real/a.jpg")


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    names = ListedNames(tmp_path / "photos")
    assert names.name_below("~/photos/a.jpg") == "a.jpg"
    assert names.name_below("~a.jpg") == "~a.jpg"
    with pytest.raises(InputError, match=f"{tmp_path}/a.jpg is not in the folder"):
        names.name_below("~/a.jpg")
    (tmp_path / "photos" / "~").mkdir(parents=True)
    (tmp_path / "photos" / "~" / "a.jpg").touch()
    assert names.name_below("~/a.jpg") == "~/a.jpg"


def test_urls() -> None:
    names = ListedNames(parse_location("memory://bucket/photos"))
    assert names.name_below("memory://bucket/photos/sub/a.jpg") == "sub/a.jpg"
    assert names.name_below("sub/a.jpg") == "sub/a.jpg"
    for name in ("memory://bucket/a.jpg", "file:///photos/a.jpg", "/photos/a.jpg"):
        with pytest.raises(InputError, match="is not in the folder of images memory://"):
            names.name_below(name)
    assert ListedNames(Path("/my photos")).name_below("file:///my%20photos/a.jpg") == "a.jpg"
