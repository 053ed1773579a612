import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dptn_cli.enums import Status
from dptn_cli.errors import InputError, RunStopped
from dptn_cli.transfer.earlier_runs import read_earlier_runs, read_manifest
from dptn_cli.transfer.manifest import Manifest
from dptn_cli.types import Outcome


def outcome(output: str = "a.png", status: Status = Status.DONE, mark: str = "f1") -> Outcome:
    return Outcome(output, "s.png", "t.png", status, "", mark, 0.25)


def test_a_line_for_each_outcome(tmp_path: Path) -> None:
    with Manifest(tmp_path, "abc") as manifest:
        manifest.append(outcome())
        manifest.append(Outcome("b.png", "s.png", "t.png", Status.FAILED, "why"))
    first, second = (json.loads(line) for line in (tmp_path / "manifest.jsonl").open())
    assert first == {
        "output": "a.png", "source": "s.png", "target": "t.png", "status": "done", "reason": "",
        "model": "abc", "fingerprint": "f1", "seconds": 0.25,
    }  # fmt: skip
    assert (second["status"], second["reason"]) == ("failed", "why")


def test_what_was_made_need_not_be_made_again(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with Manifest(tmp_path, "m") as manifest:
        manifest.append(outcome())
        manifest.append(outcome("gone.png"))
    with Manifest(tmp_path, "m") as manifest:
        is_done = manifest.earlier.lookup()
        assert is_done("a.png", "f1")
        assert not is_done("a.png", "other fingerprint")
        assert not is_done("gone.png", "f1")
        assert not manifest.earlier.lookup(overwrite=True)("a.png", "f1")
    assert read_earlier_runs(tmp_path).lookup()("a.png", "f1")


def test_the_last_line_holds(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with Manifest(tmp_path, "m") as manifest:
        manifest.append(outcome())
        manifest.append(outcome(status=Status.FAILED, mark=""))
    assert not read_earlier_runs(tmp_path).lookup()("a.png", "f1")
    with Manifest(tmp_path, "m") as manifest:
        manifest.append(outcome())
    assert read_earlier_runs(tmp_path).lookup()("a.png", "f1")


def test_what_is_skipped_keeps_the_line_it_has(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with Manifest(tmp_path, "m") as manifest:
        manifest.append(outcome())
    before = (tmp_path / "manifest.jsonl").read_bytes()
    with Manifest(tmp_path, "m") as manifest:
        assert manifest.append(outcome(status=Status.SKIPPED)).status is Status.SKIPPED
    assert (tmp_path / "manifest.jsonl").read_bytes() == before
    assert read_earlier_runs(tmp_path).lookup()("a.png", "f1")


def test_lines_of_older_versions_for_what_was_skipped_hold(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    line = {"output": "a.png", "status": "skipped", "fingerprint": "f1"}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(line) + "\n")
    assert read_earlier_runs(tmp_path).lookup()("a.png", "f1")


@pytest.mark.parametrize("torn", ['{"output": "b.pn', "x" * 100_000])
def test_a_torn_line_is_dropped(tmp_path: Path, torn: str) -> None:
    with Manifest(tmp_path, "m") as manifest:
        manifest.append(outcome())
    with (tmp_path / "manifest.jsonl").open("a") as file:
        file.write(torn)
    with Manifest(tmp_path, "m") as manifest:
        manifest.append(outcome("c.png"))
    assert [entry["output"] for entry in read_manifest(tmp_path)] == ["a.png", "c.png"]


def test_foreign_lines_are_passed_over(tmp_path: Path) -> None:
    lines = ["nonsense", "[]", '{"output": 5}', "[" * 50_000, '{"output": "a", "fingerprint": 3}']
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    assert [entry["output"] for entry in read_manifest(tmp_path)] == ["a"]
    assert not read_earlier_runs(tmp_path).lookup()("a", "3")


def test_names_in_any_encoding(tmp_path: Path) -> None:
    name = os.fsdecode("ä b".encode() + b"\xff.png")
    with Manifest(tmp_path, "m") as manifest:
        manifest.append(outcome(name))
    assert [entry["output"] for entry in read_manifest(tmp_path)] == [name]


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        Manifest(tmp_path, "m"),
        pytest.raises(InputError, match="another `dptn transfer` is writing"),
    ):
        Manifest(tmp_path, "m")
    Manifest(tmp_path, "m").__exit__()


def test_results_that_exist_are_known_from_the_manifest_alone(tmp_path: Path) -> None:
    """So that contact sheets need no source to tell which results to show."""
    failed = outcome("b.png", Status.FAILED)
    with Manifest(tmp_path, "m") as manifest:
        for entry in (outcome("a.png"), outcome("b.png"), failed, outcome("gone.png")):
            manifest.append(entry)
    for name in ("a.png", "b.png", "unknown.png"):
        (tmp_path / name).touch()
    exists = read_earlier_runs(tmp_path).is_done
    names = ("a.png", "b.png", "gone.png", "unknown.png")
    assert [name for name in names if exists(name)] == ["a.png"]


def test_what_a_killed_run_was_writing_is_removed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".dptn-k3_x9ab2.part").write_bytes(b"half")
    (tmp_path / "sub" / "mine.png").write_bytes(b"whole")
    with Manifest(tmp_path, "m"):
        assert os.listdir(tmp_path / "sub") == ["mine.png"]


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: what a full disk does to the manifest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("room", "reason"),
    [(0, "File too large"), (20, "No space left on device")],
    ids=["none", "half a line"],
)
def test_a_line_that_cannot_be_written_stops_the_run(
    tmp_path: Path, room: int, reason: str
) -> None:
    """The next run will not know of the image. What fits of its line is dropped again."""
    with Manifest(tmp_path, "m") as manifest:
        manifest.append(outcome())
        with (
            file_size_limit((tmp_path / "manifest.jsonl").stat().st_size + room),
            pytest.raises(RunStopped, match=f"manifest.jsonl: {reason}"),
        ):
            manifest.append(outcome("b.png"))
        manifest.append(outcome("c.png"))
    assert [entry["output"] for entry in read_manifest(tmp_path)] == ["a.png", "c.png"]
    assert (tmp_path / "manifest.jsonl").read_bytes().count(b"\n") == 2
