"""Telling dptn's own files from those of other tools with the same names."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dptn_cli.enums import Status
from dptn_cli.errors import InputError
from dptn_cli.io.own_files import check_results_folder, is_manifest, is_run_json
from dptn_cli.io.results_folder import is_temporary
from dptn_cli.transfer.manifest import Manifest
from dptn_cli.types import Outcome

FOREIGN_MANIFESTS = [
    b'{"version":"1.1"}\n{"type":"images"}\n{"name":"anna","extension":".png"}',  # CVAT
    b'{"input": "a", "output": "b"}\n',
    b'{"output": "b"}',
    b'{"output": "b", "status": "done"}\n',
    b'{"output": "b", "status": "ok", "fingerprint": "x"}\n',
    b'{"output": 1, "status": "done", "fingerprint": "x"}\n',
    b'[{"output": "a", "status": "done", "fingerprint": "x"}]\n',
    b'{\n  "output": "a"\n}\n',
    b'{"output": "b", "input": "a", "sco',
    b"images",
    b"\n",
    b"\xff\xfe\0\0",
    b"[" * 100_000,
]
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize("content", FOREIGN_MANIFESTS)
def test_manifests_of_others(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(content)
    assert not is_manifest(path)
    with pytest.raises(
        InputError, match=r"manifest.jsonl exists, but dptn transfer did not write it"
    ):
        Manifest(tmp_path, "m")
    assert path.read_bytes() == content


def test_a_manifest_that_was_cut_anywhere_is_still_ours(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("results")
    path = folder / "manifest.jsonl"

    @given(NAMES, NAMES, st.sampled_from(Status), st.data())
    def cut(output: str, source: str, status: Status, data: st.DataObject) -> None:
        path.unlink(missing_ok=True)
        with Manifest(folder, "0" * 64) as manifest:
            manifest.append(Outcome(output, source, "t.png", Status.FAILED, "why"))
            manifest.append(Outcome(output, source, "t.png", status, "", "f", 0.1))
        content = path.read_bytes()
        path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        assert is_manifest(path)
        with Manifest(folder, "0" * 64):
            pass

    cut()


def test_run_json_of_any_version(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    first = {"model": {"sha256": "0"}, "provider": "cpu", "state": "running"}
    for document in (
        first | {"counts": {"planned": 3}},
        first | {"counts": {}, "state": "finished", "target_folders": [], "more": 1},
        first | {"counts": {}, "state": "interrupted"},
    ):
        path.write_text(json.dumps(document, indent=2))
        assert is_run_json(path)
    for text in ('{"what": "notes"}', "[]", "{", "3", json.dumps(first), '{"state": "running"}'):
        path.write_text(text)
        assert not is_run_json(path)
        with pytest.raises(
            InputError, match=r"run\.json exists, but dptn transfer did not write it"
        ):
            check_results_folder(tmp_path)


def test_a_manifest_elsewhere_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").touch()
    (tmp_path / "out" / "manifest.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="leads out of"):
        check_results_folder(tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        (".dptn-k3_x9ab2.part", True),
        (".dptn-k3_x9ab2", True),
        (f".dptn-{'0af3' * 8}", True),
        (f".dptn-{'0af3' * 8}.part", True),
        (".dptn-notes", False),
        (".dptn-settings", False),
        (".dptn-k3_x9ab2.txt", False),
        (".dptn-K3_X9AB2", False),
        ("x.dptn-k3_x9ab2.part", False),
    ],
)
def test_temporary_files(name: str, ours: bool) -> None:
    assert is_temporary(name) is ours
