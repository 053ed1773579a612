"""Reading, writing and listing behind URLs, with fsspec's memory and local file systems."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st
from support import draw_image

from dptn_cli.io import fsspec_storage
from dptn_cli.io.files import write_atomic
from dptn_cli.io.fsspec_storage import SINGLE_QUERIES
from dptn_cli.io.images import read_image_size
from dptn_cli.io.paths import parse_location
from dptn_cli.io.storage import LOCAL, storage_of
from dptn_cli.io.text_lines import numbered_lines


def put(path: Path, content: bytes) -> None:
    storage_of(path).write_atomic(path, lambda file: file.write(content))


@pytest.fixture
def bucket() -> Iterator[Path]:
    name = uuid4().hex
    yield parse_location(f"memory://{name}")
    if fsspec.filesystem("memory").exists(name):
        fsspec.filesystem("memory").rm(name, recursive=True)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """The same folder as a URL, whose file system shows what is half written."""
    return parse_location(f"file://{tmp_path}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plain folder of the operating system."""
    (tmp_path / "sub").mkdir()
    return tmp_path


def test_the_type_of_a_path_decides(bucket: Path, disk: Path, tmp_path: Path) -> None:
    assert storage_of(tmp_path) is LOCAL
    assert not LOCAL.is_remote
    assert storage_of(bucket).is_remote
    assert storage_of(disk).is_remote


@pytest.mark.parametrize("where", ["bucket", "disk", "folder"])
def test_what_is_written_can_be_read(
    where: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder: Path = request.getfixturevalue(where)
    put(folder / "sub/a.txt", b"one\ntwo\n")
    (tmp_path / "local").write_bytes(b"new")
    storage_of(folder).upload(folder / "sub/b.txt", tmp_path / "local")
    assert storage_of(folder).read_bytes(folder / "sub/a.txt") == b"one\ntwo\n"
    assert storage_of(folder).read_bytes(folder / "sub/a.txt", 3) == b"one"
    assert storage_of(folder).read_bytes(folder / "sub/a.txt", 300) == b"one\ntwo\n"
    with storage_of(folder).open_bytes(folder / "sub/b.txt") as file:
        assert file.read() == b"new"
    assert list(numbered_lines(folder / "sub/a.txt")) == [(1, "one"), (2, "two")]
    assert {"sub/a.txt", "sub/b.txt"} <= set(storage_of(folder).list_files(folder))
    assert (
        storage_of(folder).is_file(folder / "sub/a.txt"),
        storage_of(folder).is_dir(folder / "sub"),
    ) == (True, True)
    assert (
        storage_of(folder).is_file(folder / "sub"),
        storage_of(folder).is_dir(folder / "none"),
    ) == (False, False)
    assert list(storage_of(folder).list_files(folder / "none")) == []


def test_a_file_appears_whole_or_not_at_all(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(disk / "a", b"first")
    seen: list[bytes] = []
    pipe_file = LocalFileSystem.pipe_file

    def torn(self: LocalFileSystem, path: str, value: bytes, **more: Any) -> None:
        pipe_file(self, path, value[:3], **more)
        seen.append((tmp_path / "a").read_bytes())
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "pipe_file", torn)
        with pytest.raises(OSError, match="No space left"):
            write_atomic(disk / "a", lambda file: file.write(b"second"))
    assert seen == [b"first"]
    assert os.listdir(tmp_path) == ["a"]
    write_atomic(disk / "a", lambda file: file.write(b"second"))
    assert (tmp_path / "a").read_bytes() == b"second"


def test_object_stores_are_put_to_by_the_name_itself(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryFileSystem, "mv", None)
    write_atomic(bucket / "a", lambda file: file.write(b"whole"))
    assert list(storage_of(bucket).list_files(bucket)) == ["a"]


def test_what_a_killed_run_was_writing_is_removed(disk: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".dptn-k3_x9ab2.part").touch()
    (tmp_path / "sub" / "mine.png").touch()
    storage_of(disk).remove_temporary_files(disk)
    assert list(storage_of(disk).list_files(disk)) == ["sub/mine.png"]


@pytest.mark.parametrize(
    ("raised", "number", "text"),
    [
        (FileNotFoundError("/bucket/a"), errno.ENOENT, "No such file or directory"),
        (FileNotFoundError("no such bucket"), errno.ENOENT, "no such bucket"),
        (PermissionError("Forbidden"), errno.EACCES, "Forbidden"),
        (RuntimeError("no route\nto the host"), errno.EIO, "no route"),
        (TimeoutError(), errno.EIO, "Input/output error"),
        (
            RuntimeError("cannot connect to x:1/bucket/a"),
            errno.EIO,
            "cannot connect to x:1/bucket/a",
        ),
    ],
)
def test_whatever_a_store_raises_is_told_as_of_a_disk(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, number: int, text: str
) -> None:
    bucket = parse_location("memory://bucket")

    def refuse(*_: object, **__: object) -> None:
        raise raised

    for name in ("cat_file", "pipe_file", "open", "ls"):
        monkeypatch.setattr(MemoryFileSystem, name, refuse)
    calls: list[Callable[[], object]] = [
        lambda: storage_of(bucket).read_bytes(bucket / "a"),
        lambda: put(bucket / "a", b""),
        lambda: storage_of(bucket).open_bytes(bucket / "a"),
    ]
    if number != errno.ENOENT:
        calls.append(lambda: list(storage_of(bucket).list_files(bucket)))
    for call in calls:
        with pytest.raises(OSError) as error:
            call()
        assert (error.value.errno, error.value.strerror) == (number, text)


class TestImageSize:
    @pytest.fixture
    def fetched(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """How many bytes each read took."""
        sizes: list[int] = []
        cat_file = MemoryFileSystem.cat_file

        def count(self: MemoryFileSystem, path: str, **part: Any) -> bytes:
            data: bytes = cat_file(self, path, **part)
            sizes.append(len(data))
            return data

        monkeypatch.setattr(MemoryFileSystem, "cat_file", count)
        return sizes

    def put(self, path: Path, fmt: str) -> int:
        size = (900, 700)
        write_atomic(path, lambda file: draw_image(1, size).save(file, fmt, quality=95))
        return len(storage_of(path).read_bytes(path))

    def test_from_the_first_bytes(
        self, bucket: Path, fetched: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = self.put(bucket / "a.jpg", "JPEG")
        monkeypatch.setattr(fsspec_storage, "HEADER_BYTES", 2000)
        fetched.clear()
        assert read_image_size(bucket / "a.jpg") == (900, 700)
        assert fetched == [2000]
        assert whole > 20_000

    def test_where_the_header_is_longer(
        self, bucket: Path, fetched: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = self.put(bucket / "a.tif", "TIFF")
        monkeypatch.setattr(fsspec_storage, "HEADER_BYTES", 4)
        fetched.clear()
        assert read_image_size(bucket / "a.tif") == (900, 700)
        assert fetched == [4, whole]


class TestIndex:
    def test_many_questions_are_one_listing(
        self, bucket: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for i in range(0, 2 * SINGLE_QUERIES, 2):
            put(bucket / f"sub{i % 3}/{i}.png", b"")
        index = storage_of(bucket).index(bucket)
        answers = [index.has(f"sub{i % 3}/{i}.png") for i in range(SINGLE_QUERIES)]
        monkeypatch.setattr(MemoryFileSystem, "info", None)
        answers += [index.has(f"sub{i % 3}/{i}.png") for i in range(SINGLE_QUERIES, 200)]
        assert answers == [i % 2 == 0 and i < 2 * SINGLE_QUERIES for i in range(200)]

    def test_an_empty_folder(self, bucket: Path) -> None:
        index = storage_of(bucket).index(bucket)
        assert not any(index.has(f"{i}.png") for i in range(2 * SINGLE_QUERIES))


def test_each_folder_is_listed_once_however_links_lead(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folders = ("", "a", "a/b", "c", "c/d/e")

    @given(st.lists(st.tuples(st.sampled_from(folders), st.sampled_from(folders)), max_size=6))
    def linked(links: list[tuple[str, str]]) -> None:
        top = tmp_path_factory.mktemp("links")
        for name in folders:
            (top / name).mkdir(parents=True, exist_ok=True)
            (top / name / "x.txt").touch()
        for number, (place, target) in enumerate(links):
            (top / place / f"link{number}").symlink_to(top / target)
        expected = sorted(f"{name}/x.txt".lstrip("/") for name in folders)
        assert sorted(storage_of(top).list_files(top)) == expected, "by the names without links"
        for place in folders[1:]:
            reached = sorted(
                os.path.realpath(top / place / name)
                for name in storage_of(top).list_files(top / place)
            )
            assert reached == sorted(set(reached)), "no file twice"

    linked()
