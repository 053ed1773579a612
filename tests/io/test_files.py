import os
import resource
import shutil
import stat
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dptn_cli.errors import InputError
from dptn_cli.io.files import join_inside, write_atomic
from dptn_cli.io.paths import checked_name


@given(st.text(max_size=60))
def test_a_checked_name_stays_in_its_folder(name: str) -> None:
    folder = Path("/some/folder")
    try:
        path = os.path.normpath(folder / checked_name(name))
    except InputError:
        return
    assert path.startswith("/some/folder/")


@pytest.mark.parametrize("name", ["a.jpg", "a/b/c.jpg", "./a.jpg", "..a.jpg", "a..jpg", "ä ö.jpg"])
def test_ordinary_names(name: str) -> None:
    assert checked_name(name) == name.removeprefix("./")


@pytest.mark.parametrize(
    "name",
    ["a" * 256, f"sub/{'a' * 252}.png", "ä" * 128, f"a b/{'ä' * 128}", "a/" * 1024 + "a", "\ud800"],
)
def test_names_that_no_file_system_holds(name: str) -> None:
    with pytest.raises(InputError, match="file name"):
        checked_name(name)


@pytest.mark.parametrize("name", ["a" * 255, f"{'a' * 200}/{'b' * 255}", "ä" * 127, "a b" * 85])
def test_names_just_short_enough(name: str, tmp_path: Path) -> None:
    path = tmp_path / checked_name(name)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert checked_name(name.replace("/", "\\")) == name


def test_links_that_lead_out(tmp_path: Path) -> None:
    folder = (tmp_path / "folder").resolve()
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(b"")
    (folder / "real.png").write_bytes(b"")
    (folder / "within.png").symlink_to(folder / "real.png")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "sub").symlink_to(tmp_path)
    (folder / "circle.png").symlink_to(folder / "circle.png")
    assert join_inside(folder, "within.png").exists()
    for name in ("out.png", "sub/secret.png"):
        with pytest.raises(InputError, match="leads out"):
            join_inside(folder, name)
    assert not join_inside(folder, "circle.png").exists()


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomic(path, lambda file: file.write(b"first"))

    def fail_halfway(file: object) -> None:
        assert path.read_bytes() == b"first"
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        write_atomic(path, fail_halfway)
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_the_disks_refusal_is_raised_whatever_a_library_makes_of_it(tmp_path: Path) -> None:
    """torch.save raises a RuntimeError about positions when its archive cannot be closed."""
    path = tmp_path / "a.pth"
    write_atomic(path, lambda file: torch.save({"a": torch.zeros(4)}, file))
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (0, 100, 20_000, 40_000, 40_700, 41_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                write_atomic(path, lambda file: torch.save({"a": torch.zeros(10_000)}, file))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert os.listdir(tmp_path) == ["a.pth"]
        assert path.read_bytes() == before


def test_a_folder_that_is_removed_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "folder" / "a", lambda file: shutil.rmtree(tmp_path / "folder"))


def test_the_umask_decides_who_may_read(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", lambda file: file.write(b""))
    plain = tmp_path / "b"
    plain.touch()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", plain)]
    assert modes[0] == modes[1]
