"""A manifest kept on several machines, and its copy beside the results."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dptn_cli.enums import Status
from dptn_cli.errors import InputError
from dptn_cli.io.cache import CACHE_VARIABLE
from dptn_cli.io.fsspec_storage import FSSPEC, FsspecStorage
from dptn_cli.io.paths import parse_location
from dptn_cli.transfer import manifest_sync
from dptn_cli.transfer.earlier_runs import read_earlier_runs, read_manifest
from dptn_cli.transfer.manifest import Manifest
from dptn_cli.transfer.manifest_sync import ManifestSync, known_lines, local_path_of
from dptn_cli.types import Outcome

LINES = st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"") + b"\n"), max_size=8)


def put(path: Path, content: bytes) -> None:
    FSSPEC.write_atomic(path, lambda file: file.write(content))


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return parse_location(f"memory://{uuid4().hex}/results")


@pytest.mark.parametrize("block", [3, 1 << 16])
def test_what_the_copy_has_beyond_the_common_start_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(manifest_sync, "BLOCK", block)

    @given(LINES, LINES, LINES)
    def merged(common: list[bytes], ours: list[bytes], theirs: list[bytes]) -> None:
        at = parse_location(f"memory://{uuid4().hex}/manifest.jsonl")
        shared = 0
        for one, other in zip(ours, theirs, strict=False):
            if one != other:
                break
            shared += 1
        put(at, b"".join(common + theirs))
        copy = ManifestSync(at)
        copy.local_path.write_bytes(b"".join(common + ours))
        expected = b"".join(common + ours + theirs[shared:])
        lines = list(known_lines(at))
        assert b"".join(line for _, line in lines) == expected
        assert all(expected[at:].startswith(line) for at, line in lines)
        copy.append_new_lines()
        assert copy.local_path.read_bytes() == expected
        copy.upload()
        assert FSSPEC.read_bytes(at) == expected
        copy.append_new_lines()
        assert copy.local_path.read_bytes() == expected, "once is enough"

    merged()


def outcome(output: str, mark: str) -> Outcome:
    return Outcome(output, "s.png", "t.png", Status.DONE, "", mark, 0.25)


def test_whoever_went_on_later_is_believed(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(results / "a.png", b"")
    with monkeypatch.context() as patch:
        patch.setattr(ManifestSync, "upload", lambda _: None)  # killed before it copies
        with Manifest(results, "m") as manifest:
            manifest.append(outcome("a.png", "first"))
    line = {"output": "a.png", "status": "done", "fingerprint": "second"}
    put(results / "manifest.jsonl", json.dumps(line).encode() + b"\n")
    for earlier in (read_earlier_runs(results), Manifest(results, "m").earlier):
        assert earlier.lookup()("a.png", "second") is Status.DONE
        assert earlier.lookup()("a.png", "first") is None


def test_it_is_sent_when_it_is_due_and_no_more(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [1000.0]
    monkeypatch.setattr("dptn_cli.transfer.manifest_sync.time.monotonic", lambda: now_s[0])
    sent: list[int] = []

    def upload(_: FsspecStorage, path: Path, local: Path) -> None:
        sent.append(local.read_bytes().count(b"\n"))
        now_s[0] += 10.0

    monkeypatch.setattr(FsspecStorage, "upload", upload)
    with Manifest(results, "m") as manifest:
        for number in range(100):
            now_s[0] += 8.0
            manifest.append(outcome(f"{number}.png", "f"))
    # Sending takes 10 s, so the next time is 200 s, or 25 lines, later.
    assert sent == [0, 25, 50, 75, 100]


def test_a_store_that_refuses_the_copy_does_not_stop_a_run(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Manifest(results, "m") as manifest:
        monkeypatch.setattr(manifest_sync, "INTERVAL_S", 0.0)

        def refuse(*_: object) -> None:
            raise OSError(13, "Access Denied")

        with monkeypatch.context() as patch:
            patch.setattr(FsspecStorage, "upload", refuse)
            assert manifest.append(outcome("a.png", "f")).status is Status.DONE
            with pytest.raises(InputError, match="Access Denied; it is kept in"):
                manifest.publish()
        manifest.publish()
    assert [entry["output"] for entry in read_manifest(results)] == ["a.png"]
    assert (
        FSSPEC.read_bytes(results / "manifest.jsonl")
        == local_path_of(results / "manifest.jsonl").read_bytes()
    )


def test_a_cache_that_cannot_be_written_is_told_with_what_to_do(
    results: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(InputError, match=r"cannot be created: .*; set \$DPTN_CACHE to a folder"):
        Manifest(results, "0" * 64)
