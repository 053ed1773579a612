"""Workers that read and write URLs, as they do on an object store that all nodes share."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import Folder, make_folder

from dptn_cli.io.paths import parse_location
from dptn_cli.transfer.earlier_runs import read_manifest


def command(folder: Folder, *options: object) -> list[str]:
    inputs = ("--pairs", f"file://{folder.pairs}", "--images", f"file://{folder.path}")
    outputs = ("--model", folder.model, "-o", f"file://{folder.out}", "--batch-size", 4)
    parts = (sys.executable, "-m", "dptn_cli", "transfer", *inputs, *outputs, "--json", *options)
    return [str(part) for part in parts]


@pytest.mark.parametrize(
    "pool",
    [
        pytest.param(("--ray", "local"), marks=[pytest.mark.ray, pytest.mark.slow]),
        ("--devices", "0,1"),
    ],
)
def test_workers_resume_from_the_manifest_beside_the_results(
    tmp_path: Path, tiny_model: Path, pool: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = make_folder(tmp_path / "photos", tiny_model, count=6)
    (photos.path / "5.png").write_bytes(b"broken")
    plain = photos.transfer("-o", tmp_path / "plain", "--provider", "cpu", "--batch-size", 4)
    assert plain.exit_code == 1
    expected = {path.name: path.read_bytes() for path in (tmp_path / "plain").glob("*.png")}
    counts = []
    # Separate caches stand for two machines.
    for machine, options in (("first", ("--limit", 7)), ("second", pool)):
        environment = {**os.environ, "DPTN_CACHE": str(tmp_path / machine)}
        done = subprocess.run(
            command(photos, *options, "--provider", "cpu"),
            capture_output=True,
            text=True,
            env=environment,
        )
        assert done.stdout, done.stderr
        counts.append(json.loads(done.stdout)["counts"])
    assert counts[0]["done"] == 7
    assert counts[1] == {"planned": 30, "done": 18, "skipped": 7, "failed": 5}
    assert photos.results() == expected
    monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "third"))
    statuses = {
        entry["output"]: entry["status"]
        for entry in read_manifest(parse_location(f"file://{photos.out}"))
    }
    assert sorted(statuses.values()) == ["done"] * 25 + ["failed"] * 5
    assert not [path for path in photos.out.rglob("*") if path.name.startswith(".dptn-")]
