"""Local names and URLs, and names that must stay in the folder of a URL."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dptn_cli.errors import InputError, MissingDependency
from dptn_cli.io.files import safe_join
from dptn_cli.io.paths import digest_of, is_remote, name_below, name_in_store, parse_location


@pytest.mark.parametrize("text", ["a.csv", "/a/b", "C:\\data\\a.csv", "s3:/a", "a//b", "."])
def test_names_of_files_are_local(text: str) -> None:
    assert parse_location(text) == Path(text)
    assert not is_remote(parse_location(text))


def test_an_empty_name_is_not_the_current_folder() -> None:
    """As from `-o "$OUT"`, where the variable is not set."""
    with pytest.raises(InputError, match="names nothing"):
        parse_location("")


def test_a_url_behaves_as_a_path(tmp_path: Path) -> None:
    located = parse_location("memory://bucket/sub/../photos") / "a/b.png"
    assert is_remote(located)
    assert str(located) == "memory://bucket/photos/a/b.png"
    assert (located.name, located.suffix) == ("b.png", ".png")
    assert is_remote(parse_location(f"file://{tmp_path}"))


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
        path = safe_join(folder, name)
    except InputError:
        return
    assert name_below(folder, path) == name
    assert ".." not in name.split("/")


@pytest.mark.parametrize(
    "name", ["../a", "s3://b/a", "memory:/a", "memory://b/a", "/a", "b/../../a"]
)
@pytest.mark.parametrize("folder", ["memory://bucket/photos", "file:///photos"])
def test_names_that_lead_elsewhere(folder: str, name: str) -> None:
    with pytest.raises(InputError):
        safe_join(parse_location(folder), name)


def test_links_behind_file_urls(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "secret.png").touch()
    (tmp_path / "photos" / "out.png").symlink_to(tmp_path / "secret.png")
    folder = parse_location(f"file://{tmp_path}/photos")
    assert name_in_store(safe_join(folder, "in.png")) == f"{tmp_path}/photos/in.png"
    with pytest.raises(InputError, match="leads out"):
        safe_join(folder, "out.png")


def test_what_lies_in_a_folder() -> None:
    folder = parse_location("memory://bucket/photos")
    assert name_below(folder, parse_location("memory://bucket/photos/a/b")) == "a/b"
    for other in ("memory://bucket/photos2/a", "file:///bucket/photos/a", "/bucket/photos/a"):
        assert name_below(folder, parse_location(other)) is None


def test_a_digest_for_each_url() -> None:
    urls = ("memory://a/b", "memory://a/c", "file:///a/b")
    assert len({digest_of(parse_location(url)) for url in urls}) == 3
    assert digest_of(parse_location("memory://a/b/")) == digest_of(parse_location("memory://a/b"))
