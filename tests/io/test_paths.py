"""Local names and URLs, and names that must stay in the folder of a URL."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dptn_cli.errors import InputError, MissingDependency
from dptn_cli.io.files import join_inside
from dptn_cli.io.fsspec_storage import location_digest, store_name
from dptn_cli.io.paths import parse_location
from dptn_cli.io.storage import storage_of


@pytest.mark.parametrize("text", ["a.csv", "/a/b", "C:\\data\\a.csv", "s3:/a", "a//b", "."])
def test_names_of_files_are_local(text: str) -> None:
    assert parse_location(text) == Path(text)
    assert not storage_of(parse_location(text)).is_remote


def test_an_empty_name_is_not_the_current_folder() -> None:
    """As from `-o "$OUT"`, where the variable is not set."""
    with pytest.raises(InputError, match="a path is empty"):
        parse_location("")


def test_a_url_behaves_as_a_path(tmp_path: Path) -> None:
    located = parse_location("memory://bucket/sub/../photos") / "a/b.png"
    assert storage_of(located).is_remote
    assert str(located) == "memory://bucket/photos/a/b.png"
    assert (located.name, located.suffix) == ("b.png", ".png")
    assert storage_of(parse_location(f"file://{tmp_path}")).is_remote


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(MissingDependency, match=r"pip install 'dptn-cli\[remote\]'"):
        parse_location("memory://a")
    assert parse_location("a") == Path("a")


def test_without_the_protocols_own_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingDependency, match="needs s3fs, .*: pip install s3fs"):
        parse_location("s3://bucket/a")


def test_a_reason_that_stands_behind_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a web server that refuses: universal_pathlib names the URL alone."""

    def refuse(path: object) -> None:
        raise FileNotFoundError(path) from PermissionError("403, FORBIDDEN")

    monkeypatch.setattr("upath.implementations.http.HTTPPath.resolve", refuse)
    with pytest.raises(InputError, match=r"http://a/b\.csv: 403, FORBIDDEN"):
        parse_location("http://a/b.csv")


def test_an_unknown_protocol() -> None:
    with pytest.raises(InputError, match="nowhere://a: .*nowhere"):
        parse_location("nowhere://a")


@given(st.text(max_size=40))
def test_a_name_stays_in_the_folder_of_a_url(name: str) -> None:
    folder = parse_location("memory://bucket/photos")
    try:
        path = join_inside(folder, name)
    except InputError:
        return
    assert storage_of(folder).relative_name(folder, path) == name
    assert ".." not in name.split("/")


@pytest.mark.parametrize(
    "name", ["../a", "s3://b/a", "memory:/a", "memory://b/a", "/a", "b/../../a"]
)
@pytest.mark.parametrize("folder", ["memory://bucket/photos", "file:///photos"])
def test_names_that_lead_elsewhere(folder: str, name: str) -> None:
    with pytest.raises(InputError):
        join_inside(parse_location(folder), name)


def test_links_behind_file_urls(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "secret.png").touch()
    (tmp_path / "photos" / "out.png").symlink_to(tmp_path / "secret.png")
    folder = parse_location(f"file://{tmp_path}/photos")
    assert store_name(join_inside(folder, "in.png")) == f"{tmp_path}/photos/in.png"
    with pytest.raises(InputError, match="leads out"):
        join_inside(folder, "out.png")
    assert storage_of(folder).index(folder).has("out.png"), "it can be read"


def test_what_lies_in_a_folder() -> None:
    folder = parse_location("memory://bucket/photos")
    assert (
        storage_of(folder).relative_name(folder, parse_location("memory://bucket/photos/a/b"))
        == "a/b"
    )
    for other in ("memory://bucket/photos2/a", "file:///bucket/photos/a", "/bucket/photos/a"):
        assert storage_of(folder).relative_name(folder, parse_location(other)) is None


def test_a_digest_for_each_url() -> None:
    urls = ("memory://a/b", "memory://a/c", "file:///a/b")
    assert len({location_digest(parse_location(url)) for url in urls}) == 3
    assert location_digest(parse_location("memory://a/b/")) == location_digest(
        parse_location("memory://a/b")
    )
