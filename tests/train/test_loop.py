"""The training loop: it learns, it stops, it goes on as if it had never stopped."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import two_processes
from support import TINY_CONFIG, TINY_SPEC
from training import CONFIG, FRAME, L1_ONLY, PACE, draw_data, equal, train, trainer, weights

from dptn_cli.errors import InputError, ModelError
from dptn_cli.network.checkpoint import load_generator
from dptn_cli.network.config import GeneratorConfig
from dptn_cli.train.data import read_data
from dptn_cli.train.loop import Progress
from dptn_cli.train.recipe import TrainConfig
from dptn_cli.train.resume_checks import check_place
from dptn_cli.train.run_folder import RunFolder


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_run(figures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pace = replace(PACE, log_every=2, validate_every=4, grid_every=5, validation_pairs=3)
    seen = train(figures, run, CONFIG, pace)
    assert [progress.step for progress in seen] == list(range(1, 10))
    rates = [progress.rates[0] / CONFIG.learning_rate for progress in seen[::3]]
    assert rates == pytest.approx([1, 2 / 3, 1 / 3])
    assert all(p.rates[1] == pytest.approx(p.rates[0] / 10) for p in seen)
    for which in ("last", "last-raw", "best"):
        loaded = load_generator(run / f"generator-{which}.pth")
        assert (loaded.spec, loaded.generator.config) == (FRAME, TINY_CONFIG)
    assert not equal(weights(run), weights(run, "last-raw"))
    lines = metrics(run)
    assert [line["step"] for line in lines if "loss/generator" in line] == [2, 4, 6, 8, 9]
    assert [line["step"] for line in lines if "validation/ssim" in line] == [4, 8, 9]
    assert sorted(p.name for p in (run / "grids").iterdir()) == [
        "step-00000005.png",
        "step-00000009.png",
    ]
    assert list((run / "tensorboard").iterdir())
    state = torch.load(run / "checkpoint-last.pth", weights_only=True)
    best = max(
        (line for line in lines if "validation/ssim" in line), key=lambda x: x["validation/ssim"]
    )
    assert state["best"]["step"] == best["step"]


def test_eight_figures_are_learned_by_heart(tmp_path: Path) -> None:
    data = draw_data(tmp_path / "data", people=4, images=2)
    config = replace(
        CONFIG,
        generator=GeneratorConfig(width=16, residual_blocks=1, feed_forward=64),
        batch_size=8,
        epochs=200,
        constant_epochs=200,
        learning_rate=4e-3,
        initialisation="torch",
    )
    seen = train(data, tmp_path / "run", config)
    assert len(seen) == 200
    last = sum(progress.losses["target_l1"] for progress in seen[-5:]) / 5
    assert last < seen[0].losses["target_l1"] / 5


def test_stopped_and_resumed_is_never_stopped(figures: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, flip=True)
    pace = replace(PACE, log_every=2, validate_every=2, grid_every=2, validation_pairs=3)
    train(figures, tmp_path / "whole", config, pace)
    stop_at = random.randint(1, 8)

    def stop(progress: Progress) -> None:
        if progress.step == stop_at:
            signal.raise_signal(signal.SIGTERM)

    with RunFolder(tmp_path / "parts") as folder:
        first = trainer(figures, folder, config, pace)
        assert not first.train(stop)
        assert first.step == stop_at
    seen = train(figures, tmp_path / "parts", config, pace)
    assert [p.step for p in seen] == list(range(stop_at + 1, 10))
    for which in ("last", "last-raw", "best"):
        assert equal(weights(tmp_path / "whole", which), weights(tmp_path / "parts", which)), (
            stop_at
        )
    discriminators = [
        torch.load(tmp_path / run / "discriminator-last.pth") for run in ("whole", "parts")
    ]
    assert equal(*discriminators), stop_at
    told = [[{**line, "samples_per_s": 0} for line in metrics(tmp_path / run)]
            for run in ("whole", "parts")]  # fmt: skip
    assert told[0] == told[1], stop_at
    grids = [sorted(p.name for p in (tmp_path / run / "grids").iterdir())
             for run in ("whole", "parts")]  # fmt: skip
    assert grids[0] == grids[1], stop_at


def test_a_stop_at_the_last_step_is_the_end(figures: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == progress.steps:
            signal.raise_signal(signal.SIGTERM)

    with RunFolder(tmp_path / "run") as folder:
        assert trainer(figures, folder, replace(L1_ONLY, epochs=1)).train(stop)
    assert (tmp_path / "run" / "generator-best.pth").is_file()
    assert metrics(tmp_path / "run")


def test_what_a_killed_run_logged_too_much_is_dropped(figures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    config, pace = replace(L1_ONLY, epochs=2), replace(PACE, log_every=1)
    train(figures, run, config, pace)
    state = torch.load(run / "checkpoint-last.pth", weights_only=True)
    torch.save(state | {"step": 4}, run / "checkpoint-last.pth")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "loss/gen')
    (run / ".dptn-torn").write_text("half a checkpoint")
    train(figures, run, config, pace)
    steps = [line["step"] for line in metrics(run) if "loss/generator" in line]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert not (run / ".dptn-torn").exists()


def test_a_run_folder_of_other_settings(figures: Path, tmp_path: Path) -> None:
    train(figures, tmp_path / "run", replace(L1_ONLY, epochs=1))
    before = (tmp_path / "run" / "checkpoint-last.pth").read_bytes()
    other = replace(L1_ONLY, epochs=1, learning_rate=1e-3)
    with RunFolder(tmp_path / "run") as folder, pytest.raises(InputError) as error:
        trainer(figures, folder, other)
    assert "other settings (learning_rate 0.0002 there, 0.001 asked for)" in str(error.value)
    assert (tmp_path / "run" / "checkpoint-last.pth").read_bytes() == before


def test_a_run_folder_of_another_pair_list(figures: Path, tmp_path: Path) -> None:
    train(figures, tmp_path / "run", replace(L1_ONLY, epochs=1))
    shutil.copytree(figures, tmp_path / "data")
    (listed,) = (tmp_path / "data").glob("*pairs-train.csv")
    header, first, *rest = listed.read_text().splitlines(keepends=True)
    listed.write_text("".join([header, *rest, first]))
    with RunFolder(tmp_path / "run") as folder, pytest.raises(InputError, match="training list"):
        trainer(tmp_path / "data", folder, replace(L1_ONLY, epochs=1))


def test_the_keys_of_a_checkpoint_never_change(figures: Path, tmp_path: Path) -> None:
    """Runs of earlier versions are resumed only if these are the keys that they stored."""
    run = tmp_path / "run"
    train(figures, run, replace(CONFIG, epochs=1))
    state = torch.load(run / "checkpoint-last.pth", weights_only=True)
    assert set(state) == {
        "config", "step", "best", "owed", "generator", "average", "optimiser", "discriminator",
        "discriminator_optimiser",
    }  # fmt: skip
    assert set(state["best"]) == {"step", "ssim", "psnr", "l1"}
    settings = state["config"]
    assert set(settings) == {
        "generator", "frame", "weights", "discriminator_layers", "batch_size", "epochs",
        "constant_epochs", "learning_rate", "discriminator_rate", "betas", "ema_decay",
        "precision", "initialisation", "discriminator_initialisation", "flip", "drop_last",
        "seed", "training list",
    }  # fmt: skip
    generator_keys = {
        "width", "residual_blocks", "heads", "feed_forward", "context_blocks",
        "transfer_blocks", "joints",
    }  # fmt: skip
    frame_keys = {"dataset", "image_size", "network_size", "sigma_px"}
    assert set(settings["generator"]) == generator_keys
    assert set(settings["frame"]) == frame_keys
    assert set(settings["weights"]) == {
        "reconstruction", "content", "style", "adversarial", "target_share",
    }  # fmt: skip
    for name in ("last", "last-raw", "best"):
        stored = torch.load(run / f"generator-{name}.pth", weights_only=True)
        assert set(stored) == {"format", "config", "frame", "generator"}
        assert stored["format"] == "dptn-generator-1"
        assert set(stored["config"]) == generator_keys
        assert set(stored["frame"]) == frame_keys


def test_the_keys_of_the_metrics_never_change(figures: Path, tmp_path: Path) -> None:
    train(figures, tmp_path / "run", replace(CONFIG, epochs=1))
    training, validation = metrics(tmp_path / "run")
    assert set(training) == {
        "step", "epoch", "rate/generator", "rate/discriminator", "samples_per_s",
        "loss/discriminator", "loss/target_l1", "loss/source_l1", "loss/adversarial",
        "loss/generator",
    }  # fmt: skip
    assert set(validation) == {"step", "validation/ssim", "validation/psnr", "validation/l1"}


def test_an_optimiser_of_other_weights(figures: Path, tmp_path: Path) -> None:
    config = replace(L1_ONLY, epochs=1)
    train(figures, tmp_path / "run", config)
    path = tmp_path / "run" / "checkpoint-last.pth"
    state = torch.load(path, weights_only=True)
    state["optimiser"]["state"][0]["exp_avg"] = torch.zeros(3)
    torch.save(state, path)
    with RunFolder(tmp_path / "run") as folder, pytest.raises(ModelError, match="other weights"):
        trainer(figures, folder, config)


def test_machines_that_do_not_share_the_run_folder() -> None:
    class Two:
        """An Accelerator of two processes, of which the other goes on after step 4."""

        device = torch.device("cpu")

        def gather(self, here: torch.Tensor) -> torch.Tensor:
            return torch.cat([torch.tensor([4]), here])

    check_place(Two(), Path("run"), 4)
    with pytest.raises(InputError, match=r"\[0, 4\].*share"):
        check_place(Two(), Path("run"), 0)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 torn"])
def test_an_unreadable_checkpoint(figures: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint-last.pth").write_bytes(content)
    with RunFolder(tmp_path / "run") as folder, pytest.raises(ModelError, match="checkpoint-last"):
        trainer(figures, folder)
    assert (tmp_path / "run" / "checkpoint-last.pth").read_bytes() == content


@pytest.mark.parametrize("part", ["generator", "discriminator", "optimiser", "best"])
def test_a_checkpoint_with_a_part_missing(figures: Path, tmp_path: Path, part: str) -> None:
    config = replace(CONFIG, epochs=1)
    train(figures, tmp_path / "run", config)
    path = tmp_path / "run" / "checkpoint-last.pth"
    state = torch.load(path, weights_only=True)
    del state[part]
    torch.save(state, path)
    with RunFolder(tmp_path / "run") as folder, pytest.raises(ModelError, match="not a whole"):
        trainer(figures, folder, config)


def test_two_runs_in_one_folder(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run"), pytest.raises(InputError, match="another `dptn train`"):
        RunFolder(tmp_path / "run")


@pytest.mark.parametrize(
    ("save_every", "message", "kept"),
    [
        (3, r"step 5: a loss is not finite.*--learning-rate", 3),
        # A finite loss can have an infinite gradient, which only the next step's loss shows.
        (2, r"step 4: the weights are not finite.*is kept", 2),
    ],
)
def test_what_is_not_finite_keeps_the_last_checkpoint(
    figures: Path, tmp_path: Path, save_every: int, message: str, kept: int
) -> None:
    run = tmp_path / "run"
    with RunFolder(run) as folder:
        pace = replace(PACE, save_every=save_every)
        it = trainer(figures, folder, replace(L1_ONLY, epochs=4), pace)

        def poison(progress: Progress) -> None:
            if progress.step == 4:
                with torch.no_grad():
                    next(it.learner.generator.parameters()).fill_(float("inf"))

        with pytest.raises(ModelError, match=message):
            it.train(poison)
    state = torch.load(run / "checkpoint-last.pth", weights_only=True)
    assert state["step"] == kept
    assert all(value.isfinite().all() for value in state["generator"].values())


@pytest.mark.parametrize("broken", [1, 3])
def test_broken_test_images_are_left_out_and_told(
    figures: Path, tmp_path: Path, broken: int
) -> None:
    shutil.copytree(figures, tmp_path / "data")
    with RunFolder(tmp_path / "run") as folder:
        it = trainer(tmp_path / "data", folder, replace(L1_ONLY, epochs=1))
        victims = sorted((tmp_path / "data" / "test").iterdir())[:broken]
        for victim in victims:
            victim.write_bytes(victim.read_bytes()[:500])
        assert it.train(lambda _: None)
    assert it.unreadable
    told = {victim.name for victim in victims if victim.name in "".join(it.unreadable)}
    assert told == {victim.name for victim in victims[:broken]}
    scores = [line for line in metrics(tmp_path / "run") if "validation/ssim" in line]
    assert len(scores) == (1 if broken == 1 else 0)
    assert (tmp_path / "run" / "grids").is_dir() == (broken == 1)


def test_a_decoder_that_is_killed_costs_no_traceback(figures: Path, tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as folder:
        it = trainer(figures, folder, replace(L1_ONLY, batch_size=1), replace(PACE, workers=1))

        def kill(progress: Progress) -> None:
            (decoder,) = multiprocessing.active_children()
            decoder.kill()
            decoder.join()

        with pytest.raises(InputError, match="fewer --workers"):
            it.train(kill)


def test_an_image_that_breaks_during_the_run(figures: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", str(figures), str(tmp_path / "data")], check=True)
    config = replace(L1_ONLY, batch_size=1)
    run = tmp_path / "run"
    with RunFolder(run) as folder:
        it = trainer(tmp_path / "data", folder, config, replace(PACE, workers=1))
        victim = sorted((tmp_path / "data" / "train").iterdir())[0]
        victim.write_bytes(victim.read_bytes()[:500])
        with pytest.raises(InputError, match=victim.name) as error:
            it.train(lambda _: None)
        assert "Traceback" not in str(error.value)
        assert it.step == torch.load(run / "checkpoint-last.pth", weights_only=True)["step"]


def test_no_test_phase_means_no_validation(figures: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", str(figures), str(tmp_path / "data")], check=True)
    subprocess.run(["rm", "-r", str(tmp_path / "data" / "test")], check=True)
    assert read_data(tmp_path / "data", CONFIG.spec).test is None
    train(tmp_path / "data", tmp_path / "run", replace(L1_ONLY, epochs=1))
    assert not (tmp_path / "run" / "generator-best.pth").exists()
    assert (tmp_path / "run" / "grids" / "step-00000003.png").exists()


def test_the_published_schedule() -> None:
    config = TrainConfig(TINY_CONFIG, TINY_SPEC)
    assert config.rate(0) == config.rate(99) == 2e-4
    assert config.rate(100) == pytest.approx(2e-4 * (1 - 1 / 101))
    assert config.rate(199) == pytest.approx(2e-4 / 101)


@pytest.mark.parametrize(
    "wrong",
    [{"batch_size": 0}, {"epochs": 0}, {"learning_rate": 0.0}, {"ema_decay": 1.0},
     {"discriminator_layers": 9}, {"learning_rate": float("nan")}],
)  # fmt: skip
def test_settings_that_no_run_can_have(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        replace(CONFIG, **wrong)


def test_fewer_epochs_than_constant_ones() -> None:
    config = replace(CONFIG, epochs=99, constant_epochs=100)
    assert {config.rate(epoch) for epoch in range(99)} == {config.learning_rate}


class TestTwoProcesses:
    """What `accelerate launch` and torchrun start: two processes, here on the CPU."""

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
        port = ["--master_port", str(random.randint(20000, 40000))]
        environment = os.environ | {
            "ACCELERATE_USE_CPU": "true",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        return subprocess.run(
            [*launcher, *port, *map(str, command)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=240,
        )

    def test_they_are_as_one(self, figures: Path, tmp_path: Path) -> None:
        """Eleven pairs in batches of ten: for the eleventh, the second process has none."""
        data = tmp_path / "data"
        subprocess.run(["cp", "-r", str(figures), str(data)], check=True)
        pairs = data / "fasion-resize-pairs-train.csv"
        pairs.write_text("\n".join(pairs.read_text().splitlines()[:-1]) + "\n")
        (tmp_path / "two").mkdir()
        done = self.run(two_processes.__file__, data, tmp_path / "two" / "run")
        assert done.returncode == 0, done.stderr
        first, second = (torch.load(tmp_path / "two" / f"process-{i}.pt") for i in range(2))
        assert equal(first["weights"], second["weights"])
        assert equal(first["discriminator"], second["discriminator"])
        alone = two_processes.gradients_and_weights(data, tmp_path / "one")
        for name, gradient in alone["gradients"].items():
            difference = (gradient - first["gradients"][name]).abs().max()
            assert difference <= 2e-2 * gradient.abs().max() + 1e-6, name
        two, one = metrics(tmp_path / "two" / "run"), metrics(tmp_path / "one")
        for a, b in zip(two, one, strict=True):
            for name in a.keys() & b.keys() - {"samples_per_s"}:
                assert a[name] == pytest.approx(b[name], rel=1e-3), name

    def command(self, data: Path, run: Path, batch_size: int) -> list[object]:
        return [
            "-m", "dptn_cli", "train", data, "-o", run, "--dataset", "figures", "--image-size",
            "64x48", "--width", "8", "--no-perceptual", "--discriminator-layers", "2", "--epochs",
            "1", "--constant-epochs", "1", "--workers", "0", "--batch-size", batch_size,
        ]  # fmt: skip

    def test_the_command_gives_one_run_folder(self, figures: Path, tmp_path: Path) -> None:
        done = self.run(*self.command(figures, tmp_path / "run", 6))
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
        assert "6 a step, 3 on each of 2 (cpu)" in done.stderr
        assert done.stderr.count("12 pairs") == 1, "one process speaks"
        assert load_generator(tmp_path / "run" / "generator-best.pth").spec == FRAME
        assert metrics(tmp_path / "run")[-1]["step"] == 2

    def test_a_batch_that_they_cannot_share(self, figures: Path, tmp_path: Path) -> None:
        done = self.run(*self.command(figures, tmp_path / "run", 3))
        assert done.returncode != 0
        assert "must be a multiple of their number, 2" in done.stderr.replace("\n", " ")
