"""`dptn bench` reports every rate, measured on the code that does the work."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support import TINY_SPEC, Folder, dptn

from dptn_cli.bench.measure import write_example_pairs
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.openvino_model import has_bf16
from dptn_cli.inference.session import Session
from dptn_cli.processor import available_cores
from dptn_cli.transfer.plan import TransferRequest, make_job
from dptn_cli.types import Batch


def measure(folder: Folder, *options: object) -> dict[str, object]:
    result = dptn("bench", "--model", folder.model, "--seconds", 0, "--json", *options)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    document = json.loads(result.stdout)
    assert isinstance(document, dict)
    return document


def test_every_part_is_measured(folder: Folder, tmp_path: Path) -> None:
    out = tmp_path / "new" / "bench.json"
    document = measure(folder, "--pairs", folder.pairs, "-o", out)
    assert json.loads(out.read_text()) == document
    rates = document["session_per_second"]
    assert isinstance(rates, dict)
    assert set(rates) == {"1x1", "8x8", "1x8", "1x32"}
    assert all(rate > 0 for rate in rates.values())
    pipeline = document["pipeline"]
    assert isinstance(pipeline, dict)
    assert pipeline["pictures"] == 12
    expected = pipeline["per_second"] / pipeline["bare_session_per_second"]
    assert pipeline["ratio"] == pytest.approx(expected, rel=0.01)
    assert all(0 <= share <= 1 for share in pipeline["waiting"].values())
    assert (document["provider"], document["precision"], document["cores"]) == (
        "cpu",
        "fp32",
        available_cores(),
    )
    assert document["target"] == "any"


def test_a_rate_is_of_the_batch_that_its_name_says(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = set()
    run = Session.run

    def record(session: Session, batch: Batch) -> npt.NDArray[np.uint8]:
        shapes.add(f"{len(batch.sources)}x{len(batch.target_poses)}")
        return run(session, batch)

    monkeypatch.setattr(Session, "run", record)
    rates = measure(folder)["session_per_second"]
    assert isinstance(rates, dict)
    assert rates.keys() <= shapes


def test_the_table_for_random_images(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = dptn("bench", "--model", folder.model, "--seconds", 0)
    assert result.exit_code == 0, result.stderr
    assert "sources x targets 1x32" in result.stdout
    assert "pipeline : session alone" in result.stdout
    assert "measuring: decoding and encoding" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos"]


def test_example_pairs_make_a_valid_job(tiny_model: Path, tmp_path: Path) -> None:
    pairs = write_example_pairs(tmp_path, TINY_SPEC)
    job = make_job(TransferRequest(tmp_path / "o", pairs), read_model(tiny_model))
    items = list(job.items())
    assert job.planned == len(items) == 240
    assert len({item.source for item in items[:16]}) == 16


def error_message(*arguments: object) -> str:
    """Run a bench that fails before it measures; return its one-line message."""
    result = dptn("bench", "--provider", "cpu", "--seconds", 0, *arguments)
    assert result.exit_code == 2, result.stderr
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_unusable_pairs(folder: Folder) -> None:
    arguments = ("--model", folder.model, "--pairs", folder.pairs)
    (folder.path / "1.png").write_bytes(b"no image")
    assert "1.png: not an image" in error_message(*arguments)
    (folder.path / "1.png").unlink()
    message = error_message(*arguments)
    assert "1 source images are missing, for instance 1.png" in message
    assert "--images" in message
    for option in ("--images", "--keypoints"):
        message = error_message("--model", folder.model, option, folder.path)
        assert "--images and --keypoints need --pairs" in message


def test_pairs_whose_keypoints_are_elsewhere(folder: Folder, tmp_path: Path) -> None:
    elsewhere = (folder.path / "keypoints.csv").rename(tmp_path / "annotation-test.csv")
    message = error_message("--model", folder.model, "--pairs", folder.pairs)
    assert "4 images have no keypoints" in message
    assert "pass --keypoints" in message
    document = measure(folder, "--pairs", folder.pairs, "--keypoints", elsewhere)
    assert document["pipeline"]["pictures"] == 12  # type: ignore[index]


def test_an_unwritable_output_stops_before_measuring(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is a folder" in error_message("--model", folder.model, "-o", tmp_path)
    message = error_message("--model", folder.model, "-o", tmp_path / "file" / "bench.json")
    assert f"{tmp_path / 'file'} is a file" in message


def compare(folder: Folder, *options: object) -> dict[tuple[str, str], dict[str, Any]]:
    result = dptn(
        "bench", "--compare", "--model", folder.model, "--pairs", folder.pairs, "--seconds", 0,
        "--json", *options,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    comparison = json.loads(result.stdout)["comparison"]
    return {(entry["provider"], entry["arithmetic"]): entry for entry in comparison}


def test_providers_are_compared_on_the_same_batches(folder: Folder) -> None:
    compared = compare(folder)
    reference, openvino = compared["cpu", "fp32"], compared["openvino", "fp32"]
    assert (reference["ratio"], reference["psnr_db"], reference["largest_levels"]) == (1, None, 0)
    assert openvino["largest_levels"] <= 1
    assert openvino["images_per_second"] > 0
    bf16 = compared["openvino", "bf16"]
    assert ("problem" in bf16) == (not has_bf16())
    if has_bf16():
        assert bf16["largest_levels"] >= 1
        assert 10 < bf16["psnr_db"] < openvino["psnr_db"]
    else:
        assert "does not compute in bf16" in bf16["problem"]
    assert compared.keys() >= {("cuda", "fp32"), ("tensorrt", "fp32")}


def test_the_table_of_a_comparison_says_what_is_missing(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dptn_cli.inference.providers.cuda_device_count", lambda: 0)
    monkeypatch.setitem(sys.modules, "openvino", None)
    result = dptn("bench", "--compare", "--model", folder.model, "--seconds", 0)
    assert result.exit_code == 0, result.stderr
    assert "1.00x; equal images" in result.stdout
    assert "pip install" in result.stdout
    assert "no NVIDIA GPU" in result.stdout
