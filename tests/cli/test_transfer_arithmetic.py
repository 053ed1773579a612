"""`dptn transfer` in OpenVINO and in bf16, through the command line."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import FIGURES, FIGURES_MODEL, Folder, dptn, read_pixels

from dptn_cli import PoseTransfer
from dptn_cli.errors import ModelError
from dptn_cli.inference.openvino_model import has_bf16

FEW = ("--limit", 8, "--batch-size", 4)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "cache"))


def transfer(out: Path, *options: object) -> Any:
    return dptn(
        "transfer", "--pairs", FIGURES / "pairs.csv", "--images", FIGURES / "images",
        "--model", FIGURES_MODEL, "-o", out, *FEW, *options,
    )  # fmt: skip


def run_json(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / "run.json").read_text())
    return document


def test_openvino_gives_onnxruntime_s_images_and_skips_them(tmp_path: Path) -> None:
    out, expected = tmp_path / "out", tmp_path / "expected"
    assert transfer(expected, "--provider", "cpu").exit_code == 0
    result = transfer(out, "--provider", "openvino")
    assert result.exit_code == 0, result.stderr
    names = sorted(path.name for path in expected.glob("*_vis.png"))
    assert len(names) == 8
    for name in names:
        assert np.abs(read_pixels(out / name) - read_pixels(expected / name)).max() <= 1
    document = run_json(out)
    assert (document["provider"], document["arithmetic"]) == ("openvino", "fp32")
    assert document["arithmetic_psnr_db"] is None
    assert document["versions"]["openvino"]
    # The same arithmetic is the same image, whichever runtime generates it.
    assert transfer(out, "--provider", "cpu").exit_code == 0
    assert run_json(out)["counts"]["skipped"] == 8


def test_another_arithmetic_is_another_image(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--provider", "openvino")
    assert transfer(out, *options).exit_code == 0
    own = {path.name: path.read_bytes() for path in out.glob("*_vis.png")}
    result = transfer(out, *options, "--arithmetic", "auto")
    assert result.exit_code == 0, result.stderr
    document = run_json(out)
    if not has_bf16():
        assert "Running in fp32, not in bf16" in result.stderr
        assert (document["arithmetic"], document["counts"]["skipped"]) == ("fp32", 8)
        return
    assert "Running in bf16: PSNR" in result.stderr
    assert "against fp32, on the first 4 images." in result.stderr
    assert (document["arithmetic"], document["counts"]["done"]) == ("bf16", 8)
    assert document["arithmetic_psnr_db"] > 45
    assert all((out / name).read_bytes() != content for name, content in own.items())
    # By name it is the same arithmetic, so everything is skipped, also in a dry run.
    assert transfer(out, *options, "--arithmetic", "bf16").exit_code == 0
    assert run_json(out)["counts"]["skipped"] == 8
    planned = transfer(out, *options, "--arithmetic", "auto", "--dry-run", "--json")
    assert json.loads(planned.stdout)["counts"]["skipped"] == 8
    assert transfer(out, *options).exit_code == 0
    assert run_json(out)["counts"]["done"] == 8


def test_workers_take_the_arithmetic_that_was_decided(tmp_path: Path) -> None:
    out, alone = tmp_path / "out", tmp_path / "alone"
    options = ("--provider", "openvino", "--arithmetic", "auto")
    assert transfer(alone, *options).exit_code == 0
    result = transfer(out, *options, "--devices", "0,1")
    assert result.exit_code == 0, result.stderr
    assert run_json(out)["arithmetic"] == run_json(alone)["arithmetic"]
    for path in alone.glob("*_vis.png"):
        assert np.abs(read_pixels(path) - read_pixels(out / path.name)).max() <= 8
    assert transfer(out, *options).exit_code == 0
    assert run_json(out)["counts"]["skipped"] == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--arithmetic", "bf16", "--provider", "cpu"), "--arithmetic bf16: bf16 needs --provider"),
        (("--devices", "GPU.0"), "--devices GPU.0 needs --provider openvino"),
        (("--devices", "GPU.0", "--provider", "openvino"), "no device GPU.0 here; it lists"),
        (("--devices", "gpu"), "must be numbers with commas, as in 0,1, or OpenVINO's names"),
        (("--arithmetic", "auto", "--ray", "local"), "--ray needs the provider's name"),
    ],
)
def test_what_cannot_be_had(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    result = transfer(tmp_path / "out", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.glob("out/*.png"))


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    result = transfer(tmp_path / "out", "--provider", "openvino")
    assert result.exit_code == 2
    assert "openvino is not installed: pip install 'dptn-cli[openvino]'" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.openvino
def test_auto_says_where_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dptn_cli.inference.providers.cuda_device_count", lambda: 0)
    result = transfer(tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "Running on the CPU with OpenVINO: no NVIDIA GPU" in result.stderr
    assert run_json(tmp_path / "out")["provider"] == "openvino"


def test_a_list_without_images_has_nothing_to_compare(folder: Folder) -> None:
    for path in folder.path.glob("*.png"):
        path.write_bytes(b"no image")
    options = ("--provider", "openvino", "--arithmetic", "auto")
    result = folder.transfer(*options)
    assert result.exit_code == 1
    assert {line["status"] for line in folder.manifest()} == {"failed"}


def test_from_python(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="needs --provider openvino"):
        list(
            PoseTransfer(FIGURES_MODEL, "cpu", arithmetic="bf16").transfer(
                FIGURES / "pairs.csv", images=FIGURES / "images", out=tmp_path / "refused", limit=2
            )
        )
    model = PoseTransfer(FIGURES_MODEL, "openvino", arithmetic="auto")
    assert model.arithmetic_psnr_db is None
    outcomes = list(
        model.transfer(FIGURES / "pairs.csv", images=FIGURES / "images", out=tmp_path, limit=2)
    )
    assert [outcome.status for outcome in outcomes] == ["done", "done"]
    image = FIGURES / "images" / outcomes[0].source
    shutil.copy(image, tmp_path / "photo.png")
    pose = np.random.default_rng(0).uniform(10, 80, (18, 2))
    assert len(model(image, pose, [pose])) == 1
    assert (model.arithmetic_psnr_db is not None) == has_bf16()
