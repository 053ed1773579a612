"""A first training loop: it learns, it stops, it goes on as if it had never stopped."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from make_figures import main as make_figures
from support import TINY_CONFIG, TINY_FRAME, dptn

from dptn_cli.errors import InputError
from dptn_cli.network.checkpoint import load_generator
from dptn_cli.records import Frame
from dptn_cli.train.data import PairDataset, find_phase
from dptn_cli.train.loop import Progress, TrainConfig, Trainer

FRAME = Frame("figures", image_size=(64, 48), network_size=(64, 48))
CONFIG = TrainConfig(TINY_CONFIG, FRAME, batch_size=4, epochs=3, constant_epochs=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people in three pictures each: twelve pairs, three steps of four."""
    path = tmp_path_factory.mktemp("figures")
    make_figures([str(path), "--train-people", "2", "--test-people", "1", "--pictures", "3",
                  "--size", "64x48", "--workers", "1"])  # fmt: skip
    return path


def steps(trainer: Trainer) -> list[Progress]:
    seen: list[Progress] = []
    assert trainer.train(seen.append, save_every=1000)
    return seen


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_generator(run / "generator-last.pth").generator.state_dict()


def test_a_run(data: Path, tmp_path: Path) -> None:
    seen = steps(Trainer(data, tmp_path / "run", CONFIG))
    assert [progress.step for progress in seen] == list(range(1, 10))
    rates = [progress.rate / CONFIG.learning_rate for progress in seen[::3]]
    assert rates == pytest.approx([1, 2 / 3, 1 / 3])
    loaded = load_generator(tmp_path / "run" / "generator-last.pth")
    assert (loaded.frame, loaded.generator.config) == (FRAME, TINY_CONFIG)


def test_it_learns(data: Path, tmp_path: Path) -> None:
    config = replace(
        CONFIG, epochs=40, constant_epochs=40, learning_rate=2e-3, initialisation="torch"
    )
    seen = steps(Trainer(data, tmp_path / "run", config))
    first, last = (
        sum(progress.target_l1 for progress in part) / 6 for part in (seen[:6], seen[-6:])
    )
    assert last < first / 2


@pytest.mark.parametrize("stop_at", [1, 4])
def test_stopped_and_resumed_is_never_stopped(data: Path, tmp_path: Path, stop_at: int) -> None:
    steps(Trainer(data, tmp_path / "whole", CONFIG))

    def stop(progress: Progress) -> None:
        if progress.step == stop_at:
            signal.raise_signal(signal.SIGTERM)

    first = Trainer(data, tmp_path / "parts", CONFIG)
    assert not first.train(stop)
    assert first.step == stop_at
    assert [p.step for p in steps(Trainer(data, tmp_path / "parts", CONFIG))][0] == stop_at + 1
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_run_folder_of_other_settings(data: Path, tmp_path: Path) -> None:
    steps(Trainer(data, tmp_path / "run", replace(CONFIG, epochs=1)))
    before = (tmp_path / "run" / "checkpoint-last.pth").read_bytes()
    with pytest.raises(InputError, match="other settings"):
        Trainer(data, tmp_path / "run", CONFIG)
    assert (tmp_path / "run" / "checkpoint-last.pth").read_bytes() == before


def test_the_published_schedule() -> None:
    config = TrainConfig(TINY_CONFIG, TINY_FRAME)
    assert config.rate(0) == config.rate(99) == 2e-4
    assert config.rate(100) == pytest.approx(2e-4 * (1 - 1 / 101))
    assert config.rate(199) == pytest.approx(2e-4 / 101)


def test_samples_are_what_the_files_say(data: Path) -> None:
    pairs = PairDataset(find_phase(data, "train"), FRAME)
    assert len(pairs) == 12
    sample = pairs[0]
    assert sample.source.shape == (64, 48, 3)
    assert sample.source.dtype == torch.uint8
    assert sample.target_pose.shape == (18, 2)
    assert not torch.equal(sample.source, sample.target)
    assert sample.source_pose[:, 0].max() < 64


class TestUnusableData:
    @pytest.fixture
    def broken(self, data: Path, tmp_path: Path) -> Path:
        subprocess.run(["cp", "-r", str(data), str(tmp_path / "data")], check=True)
        return tmp_path / "data"

    def error(self, data: Path) -> str:
        result = dptn(
            "train", data, "-o", data / "run", "--dataset", "figures", "--image-size", "64x48"
        )
        assert result.exit_code == 2
        assert "Traceback" not in result.stderr
        return str(result.stderr).replace("\n", " ")

    def test_no_pictures(self, broken: Path) -> None:
        (broken / "train").rename(broken / "elsewhere")
        assert "the folder train/ with the pictures is missing" in self.error(broken)

    def test_no_annotations(self, broken: Path) -> None:
        (broken / "fasion-resize-annotation-train.csv").unlink()
        assert "one file named *annotation-train.csv is needed, found none" in self.error(broken)

    def test_a_missing_picture(self, broken: Path) -> None:
        picture = sorted((broken / "train").iterdir())[0]
        picture.unlink()
        assert f"{picture.name}" in self.error(broken)

    def test_an_unknown_data_set(self, data: Path, tmp_path: Path) -> None:
        result = dptn("train", data, "-o", tmp_path / "run", "--dataset", "cats")
        assert result.exit_code == 2
        assert "or give --image-size" in result.stderr


def test_the_command_stops_at_sigterm_and_goes_on(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [
        sys.executable, "-m", "dptn_cli", "train", str(data), "-o", str(run), "--dataset",
        "figures", "--image-size", "64x48", "--width", "8", "--batch-size", "1", "--epochs", "40",
        "--constant-epochs", "40", "--save-every", "2",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (run / "checkpoint-last.pth").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert b"Traceback" not in stderr
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "step 480 of 480" in done.stderr
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["step"] > 400
