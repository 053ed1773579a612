"""`dptn train` through the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from seeded_weights import seeded_tensor
from support import LINE_TIME, dptn
from training import draw_data
from typer.testing import Result

from dptn_cli.network.checkpoint import load_generator
from dptn_cli.network.config import IMAGE_SPECS, GeneratorConfig
from dptn_cli.network.generator import Generator
from dptn_cli.network.torchvision_compat import import_torchvision
from dptn_cli.types import ImageSpec

SMALL = ("--dataset", "figures", "--image-size", "64x48", "--width", "8", "--batch-size", "4",
         "--epochs", "1", "--constant-epochs", "1", "--discriminator-layers", "2",
         "--workers", "0")  # fmt: skip


def train(data: Path, run: Path, *more: object) -> Result:
    return dptn("train", data, "-o", run, *SMALL, *more)


def message(result: Result) -> str:
    assert "Traceback" not in result.stderr
    return " ".join(LINE_TIME.sub("", result.stderr).split())


def test_a_trained_model_generates_images(figures: Path, tmp_path: Path) -> None:
    """Train, export and transfer, using only commands."""
    result = train(figures, tmp_path / "run", "--no-perceptual")
    assert result.exit_code == 0, result.stderr
    assert "12 pairs, 4 per step (cpu), 3 steps in 1 epochs" in result.stderr
    assert result.stdout == ""
    model = tmp_path / "model.onnx"
    assert dptn("export", tmp_path / "run" / "generator-best.pth", "-o", model).exit_code == 0
    done = dptn(
        "transfer", "--pairs", figures / "fasion-resize-pairs-test.csv", "--images",
        figures / "test", "--keypoints", figures / "fasion-resize-annotation-test.csv",
        "--model", model, "-o", tmp_path / "results",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert len(list((tmp_path / "results").glob("*_vis.png"))) == 6


def test_the_same_command_again_changes_nothing(figures: Path, tmp_path: Path) -> None:
    train(figures, tmp_path / "run", "--no-perceptual")
    before = load_generator(tmp_path / "run" / "generator-last.pth").sha256
    again = train(figures, tmp_path / "run", "--no-perceptual")
    assert again.exit_code == 0
    assert "Resuming after step 3" in again.stderr
    assert load_generator(tmp_path / "run" / "generator-last.pth").sha256 == before


def test_other_settings(figures: Path, tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    train(figures, run, "--no-perceptual")
    result = train(figures, run, "--no-perceptual", "--adversarial", "3")
    assert result.exit_code == 2
    text = message(result)
    assert "--adversarial was 2.0, now 3.0" in text
    way_out = text.partition("from these weights: ")[2].split()
    done = train(figures, other, "--no-perceptual", "--adversarial", "3", *way_out)
    assert done.exit_code == 0, done.stderr
    result = train(figures, run, "--no-perceptual", "--width", "16")
    assert result.exit_code == 2
    assert "(--width was 8, now 16): use the same settings, or another folder" in message(result)
    assert "--init" not in message(result)


def test_more_epochs_and_another_batch_size(figures: Path, tmp_path: Path) -> None:
    train(figures, tmp_path / "run", "--no-perceptual")
    result = train(
        figures, tmp_path / "run", "--no-perceptual", "--epochs", "2", "--batch-size", "6",
        "--save-every", "1",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert (
        "Resuming after step 3. Changed: --batch-size was 4, now 6; --epochs was 1, now 2. The "
        "learning rate follows the new schedule: 0.0001 in epoch 2."
    ) in message(result)
    assert "step 5 of 5" in result.stderr
    result = train(figures, tmp_path / "run", "--no-perceptual", "--batch-size", "6")
    assert result.exit_code == 2
    assert "has already trained 2 epochs: give at least --epochs 2" in message(result)


class TestPerceptual:
    def test_the_weights_are_missing(
        self, figures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr("urllib.request.urlopen", self.offline)
        result = train(tmp_path / "no data at all", tmp_path / "run")
        assert result.exit_code == 2
        text = message(result)
        assert "vgg19-dcbb9e9d.pth" in text
        assert str(tmp_path / "cache" / "hub" / "checkpoints") in text
        assert "--no-perceptual" in text
        assert not (tmp_path / "run").exists()

    @staticmethod
    def offline(*_: object, **__: object) -> object:
        raise OSError("Network is unreachable")

    def test_with_stand_in_weights(
        self, figures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
        checkpoints = tmp_path / "cache" / "hub" / "checkpoints"
        checkpoints.mkdir(parents=True)
        with torch.device("meta"):
            shapes = import_torchvision().models.vgg19(weights=None).features.state_dict()
        names = {f"features.{name}": tuple(tensor.shape) for name, tensor in shapes.items()}
        state = {
            name: torch.from_numpy(seeded_tensor(name, shape)) for name, shape in names.items()
        }
        torch.save(state, checkpoints / "vgg19-dcbb9e9d.pth")
        result = train(figures, tmp_path / "run", "--log-every", "1")
        assert result.exit_code == 0, result.stderr
        line = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
        assert line["loss/target_content"] > 0
        assert line["loss/source_style"] > 0

    def test_a_file_that_is_not_the_weights(
        self, figures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        checkpoints = tmp_path / "hub" / "checkpoints"
        checkpoints.mkdir(parents=True)
        torch.save({"features.0.weight": torch.zeros(3)}, checkpoints / "vgg19-dcbb9e9d.pth")
        result = train(figures, tmp_path / "run")
        assert result.exit_code == 2
        assert "not the weights of this network" in message(result)


class TestStart:
    def test_from_a_checkpoint(self, figures: Path, tmp_path: Path) -> None:
        generator = Generator(GeneratorConfig(width=8, feed_forward=32))
        torch.save(generator.state_dict(), tmp_path / "mine.pth")
        train(figures, tmp_path / "first", "--no-perceptual")
        start = tmp_path / "first" / "generator-last-raw.pth"
        discriminator = tmp_path / "first" / "discriminator-last.pth"
        result = train(
            figures, tmp_path / "second", "--no-perceptual", "--init", start,
            "--init-discriminator", discriminator, "--learning-rate", "1e-12", "--ema-decay", "0",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        first, second = (
            load_generator(tmp_path / run / "generator-last-raw.pth").generator.state_dict()
            for run in ("first", "second")
        )
        assert all(torch.allclose(first[name], second[name], atol=1e-9) for name in first)

    def test_of_another_width(self, figures: Path, tmp_path: Path) -> None:
        train(figures, tmp_path / "first", "--no-perceptual")
        result = train(
            figures, tmp_path / "second", "--no-perceptual", "--width", "16", "--init",
            tmp_path / "first" / "generator-last.pth",
        )  # fmt: skip
        assert result.exit_code == 2
        assert "--width 8 would fit" in message(result)

    def test_an_unknown_initialisation(self, figures: Path, tmp_path: Path) -> None:
        result = train(figures, tmp_path / "run", "--no-perceptual", "--init", "xavier")
        assert result.exit_code == 2
        assert "xavier: no such checkpoint to start from, and not published or torch" in message(
            result
        )


def test_an_unknown_data_set(figures: Path, tmp_path: Path) -> None:
    result = dptn("train", figures, "-o", tmp_path / "run", "--dataset", "cats", "--no-perceptual")
    assert result.exit_code == 2
    assert "or give --image-size" in message(result)


def test_images_of_another_size_say_which_options_to_give(tmp_path: Path) -> None:
    data = draw_data(tmp_path / "data", size="30x24")
    for more in ((), ("--skip-missing",), ("--dataset", "market")):
        result = dptn("train", data, "-o", tmp_path / "run", "--no-perceptual", *more)
        assert result.exit_code == 2
        size = "128x64 (--dataset market)" if "market" in more else "256x176 (--dataset fashion)"
        assert message(result) == (
            f"Error: {data / 'train'}: 6 of 6 images have 30x24 pixels (HxW), but the options are "
            f"for {size}: give --dataset NAME --image-size 30x24 --network-size 32x24"
        )
    way_out = ["--dataset", "NAME", "--image-size", "30x24", "--network-size", "32x24"]
    result = train(data, tmp_path / "run", "--no-perceptual", *way_out)
    assert result.exit_code == 0, result.stderr
    assert "--dataset NAME has no recipe of its own" in message(result)
    spec = load_generator(tmp_path / "run" / "generator-last.pth").spec
    assert spec == ImageSpec("NAME", image_size=(30, 24), network_size=(32, 24))


def test_images_of_a_published_size_name_its_data_set(tmp_path: Path) -> None:
    data = draw_data(tmp_path / "data", people=1, images=2, size="128x64")
    result = dptn("train", data, "-o", tmp_path / "run", "--no-perceptual")
    assert result.exit_code == 2
    assert message(result).endswith("for 256x176 (--dataset fashion): give --dataset market")
    result = dptn(
        "train", data, "-o", tmp_path / "run", "--no-perceptual", "--dataset", "market",
        "--network-size", "32x16", "--width", "8", "--batch-size", "2", "--epochs", "1",
        "--workers", "0",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "no recipe" not in message(result)
    spec = load_generator(tmp_path / "run" / "generator-last.pth").spec
    assert spec == replace(IMAGE_SPECS["market"], network_size=(32, 16))


def test_missing_images_are_left_out_with_skip_missing(figures: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    subprocess.run(["cp", "-r", str(figures), str(data)], check=True)
    victim = sorted((data / "train").iterdir())[0]
    victim.unlink()
    result = train(data, tmp_path / "run", "--no-perceptual")
    assert result.exit_code == 2
    assert f"{victim.name}: not in" in message(result)
    result = train(data, tmp_path / "run", "--no-perceptual", "--skip-missing")
    assert result.exit_code == 0
    assert "1 training images left out" in message(result)
    assert "8 pairs" in result.stderr


def test_it_stops_at_sigterm_and_resumes(figures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [
        sys.executable, "-m", "dptn_cli", "train", str(figures), "-o", str(run), *SMALL,
        "--network-size", "16x16", "--adversarial", "0", "--batch-size", "1", "--epochs", "8",
        "--save-every", "6", "--no-perceptual", "--workers", "2",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (run / "checkpoint-last.pth").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)  # as a batch system does, workers included
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert b"Traceback" not in stderr
    done = dptn(*command[3:])
    assert done.exit_code == 0, done.stderr
    assert "step 96 of 96" in done.stderr
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if "loss/generator" in line]
    assert steps == sorted(set(steps))
    assert steps[-1] == 96
