"""The training loop: it learns, and a run that is stopped and resumed changes nothing."""

import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import two_processes
from accelerate import Accelerator
from support import TINY_CONFIG, TINY_SPEC
from training import (
    CONFIG,
    L1_ONLY,
    LOGGING,
    SPEC,
    draw_data,
    equal,
    train,
    trainer,
    weights,
)

from dptn_cli.errors import InputError, ModelError
from dptn_cli.network.checkpoint import load_generator
from dptn_cli.network.config import GeneratorConfig
from dptn_cli.train.data import read_data
from dptn_cli.train.loop import StepReport, Trainer
from dptn_cli.train.recipe import TrainConfig
from dptn_cli.train.resume_checks import check_same_step
from dptn_cli.train.run_folder import RunFolder
from dptn_cli.types import ImageSpec


@contextmanager
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_run(figures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    logging = replace(LOGGING, log_every=2, validate_every=4, grid_every=5, validation_pairs=3)
    steps = train(figures, run, CONFIG, logging)
    assert [progress.step for progress in steps] == list(range(1, 10))
    rates = [progress.learning_rates for progress in steps]
    relative = [rate.generator / CONFIG.learning_rate for rate in rates[::3]]
    assert relative == pytest.approx([1, 2 / 3, 1 / 3])
    assert all(rate.discriminator == pytest.approx(rate.generator / 10) for rate in rates)
    for version in ("last", "last-raw", "best"):
        loaded = load_generator(run / f"generator-{version}.pth")
        assert (loaded.spec, loaded.generator.config) == (SPEC, TINY_CONFIG)
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


@pytest.mark.slow
def test_it_overfits_eight_images(tmp_path: Path) -> None:
    data = draw_data(tmp_path / "data", people=4, images=2, size="32x24")
    config = replace(
        CONFIG,
        spec=ImageSpec("figures", image_size=(32, 24), network_size=(32, 24)),
        generator=GeneratorConfig(width=8, residual_blocks=1, feed_forward=64),
        batch_size=8,
        epochs=100,
        constant_epochs=100,
        learning_rate=4e-3,
        initialisation="torch",
    )
    steps = train(data, tmp_path / "run", config)
    assert len(steps) == 100
    last = sum(progress.losses["target_l1"] for progress in steps[-5:]) / 5
    assert last < steps[0].losses["target_l1"] / 5


RESUMABLE = replace(CONFIG, flip=True)
EVERY_SECOND = replace(LOGGING, log_every=2, validate_every=2, grid_every=2, validation_pairs=3)


@pytest.fixture(scope="module")
def uninterrupted(figures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was not stopped: nine steps in three epochs."""
    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    train(figures, run, RESUMABLE, EVERY_SECOND)
    return run


def metrics_without_speed(run: Path) -> list[dict[str, Any]]:
    return [{**line, "samples_per_s": 0} for line in metrics(run)]


def grids(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "grids").iterdir())


# Before the first validation, at a validation, at the end of an epoch, before the last step.
@pytest.mark.parametrize("stop_at", [1, 2, 3, 8])
@pytest.mark.slow
def test_stopping_and_resuming_changes_nothing(
    figures: Path, tmp_path: Path, uninterrupted: Path, stop_at: int
) -> None:
    def stop(progress: StepReport) -> None:
        if progress.step == stop_at:
            signal.raise_signal(signal.SIGTERM)

    run = tmp_path / "run"
    with RunFolder(run) as folder:
        first_part = trainer(figures, folder, RESUMABLE, EVERY_SECOND)
        assert not first_part.train(stop)
        assert first_part.step == stop_at
    second_part = train(figures, run, RESUMABLE, EVERY_SECOND)
    assert [progress.step for progress in second_part] == list(range(stop_at + 1, 10))
    for version in ("last", "last-raw", "best"):
        assert equal(weights(run, version), weights(uninterrupted, version)), version
    assert equal(*(torch.load(r / "discriminator-last.pth") for r in (run, uninterrupted)))
    assert metrics_without_speed(run) == metrics_without_speed(uninterrupted)
    assert grids(run) == grids(uninterrupted)


def test_a_stop_at_the_last_step_is_the_end(figures: Path, tmp_path: Path) -> None:
    def stop(progress: StepReport) -> None:
        if progress.step == progress.steps:
            signal.raise_signal(signal.SIGTERM)

    with RunFolder(tmp_path / "run") as folder:
        assert trainer(figures, folder, replace(L1_ONLY, epochs=1)).train(stop)
    assert (tmp_path / "run" / "generator-best.pth").is_file()
    assert metrics(tmp_path / "run")


def test_steps_logged_after_the_last_checkpoint_are_removed(figures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    config, logging = replace(L1_ONLY, epochs=2), replace(LOGGING, log_every=1)
    train(figures, run, config, logging)
    state = torch.load(run / "checkpoint-last.pth", weights_only=True)
    torch.save(state | {"step": 4}, run / "checkpoint-last.pth")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "loss/gen')
    (run / ".dptn-k3_x9ab2.part").write_text("half a checkpoint")
    train(figures, run, config, logging)
    steps = [line["step"] for line in metrics(run) if "loss/generator" in line]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert not (run / ".dptn-k3_x9ab2.part").exists()


def test_metrics_of_another_tool_stay(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for content in ('{"epoch": 1, "loss": 0.5}\n{"epoch": 2}', "loss 0.5", "[]\n"):
        path.write_text(content)
        with pytest.raises(InputError, match=r"\.jsonl exists, but dptn train did not write it"):
            RunFolder(tmp_path)
        assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(path.name, content)]
    path.write_text('{"step": 1, "lo')  # a run was killed
    with RunFolder(tmp_path):
        pass


@pytest.mark.parametrize(
    "name",
    ["generator-best.pth", "generator-last-raw.pth", "discriminator-last.pth",
     "grids/step-00000003.png"],
)  # fmt: skip
def test_networks_and_grids_of_others_stay(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"of another tool")
    with pytest.raises(InputError, match="exists, but this run did not write it: move it"):
        RunFolder(tmp_path / "run")
    assert path.read_bytes() == b"of another tool"
    assert [p for p in (tmp_path / "run").rglob("*") if p.is_file()] == [path]


def test_networks_of_others_in_the_folder_of_a_run(figures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(figures, run, replace(L1_ONLY, epochs=1))
    best, published = run / "generator-best.pth", tmp_path / "published.pth"
    torch.save(load_generator(best).generator.state_dict(), published)
    shutil.copy(published, run / "generator-mine.pth")
    with RunFolder(run):
        pass  # a name that no run writes
    shutil.copy(published, best)
    with pytest.raises(InputError, match="best.pth exists, but this run did not write it"):
        RunFolder(run)
    assert best.read_bytes() == published.read_bytes()


def test_networks_of_an_earlier_run_without_its_checkpoint(figures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(figures, run, replace(L1_ONLY, epochs=1))
    (run / "checkpoint-last.pth").unlink()
    (run / "metrics.jsonl").unlink()
    with pytest.raises(InputError, match="generator-best.pth exists, but this run did not"):
        RunFolder(run)


def test_a_run_folder_of_other_settings(figures: Path, tmp_path: Path) -> None:
    train(figures, tmp_path / "run", replace(L1_ONLY, epochs=1))
    before = (tmp_path / "run" / "checkpoint-last.pth").read_bytes()
    other = replace(L1_ONLY, epochs=1, learning_rate=1e-3, betas=(0.9, 0.99))
    with RunFolder(tmp_path / "run") as folder, pytest.raises(InputError) as error:
        trainer(figures, folder, other)
    assert str(error.value) == (
        f"{tmp_path / 'run'} belongs to a run with other settings (--beta1 and --beta2 was 0.5 and "
        "0.999, now 0.9 and 0.99; --learning-rate was 0.0002, now 0.001): use the same settings, "
        "or another folder; to start there from these weights: --init "
        f"{tmp_path / 'run' / 'generator-last-raw.pth'}"
    )
    assert (tmp_path / "run" / "checkpoint-last.pth").read_bytes() == before


def test_a_run_folder_of_another_pair_list(figures: Path, tmp_path: Path) -> None:
    train(figures, tmp_path / "run", replace(L1_ONLY, epochs=1))
    shutil.copytree(figures, tmp_path / "data")
    (pair_list,) = (tmp_path / "data").glob("*pairs-train.csv")
    header, first, *rest = pair_list.read_text().splitlines(keepends=True)
    pair_list.write_text("".join([header, *rest, first]))
    with RunFolder(tmp_path / "run") as folder, pytest.raises(InputError, match="training pairs"):
        trainer(tmp_path / "data", folder, replace(L1_ONLY, epochs=1))


def test_more_epochs_are_the_longer_run(figures: Path, tmp_path: Path) -> None:
    """At a constant rate, two epochs after one are the same to the bit as three at once."""
    longer = replace(CONFIG, constant_epochs=9, flip=True)
    train(figures, tmp_path / "run", replace(longer, epochs=1))
    steps = train(figures, tmp_path / "run", longer)
    assert [progress.step for progress in steps] == list(range(4, 10))
    train(figures, tmp_path / "whole", longer)
    assert equal(weights(tmp_path / "run"), weights(tmp_path / "whole"))
    assert equal(weights(tmp_path / "run", "last-raw"), weights(tmp_path / "whole", "last-raw"))


def test_the_rate_follows_the_new_number_of_epochs(figures: Path, tmp_path: Path) -> None:
    train(figures, tmp_path / "run", replace(L1_ONLY, epochs=2))
    steps = train(figures, tmp_path / "run", replace(L1_ONLY, epochs=4, constant_epochs=2))
    rates = [progress.learning_rates.generator / L1_ONLY.learning_rate for progress in steps]
    assert rates == pytest.approx([2 / 3] * 3 + [1 / 3] * 3)


def test_another_batch_size_goes_on_in_the_middle_of_an_epoch(
    figures: Path, tmp_path: Path
) -> None:
    def stop(progress: StepReport) -> None:
        if progress.step == 1:
            signal.raise_signal(signal.SIGTERM)

    run = tmp_path / "run"
    with RunFolder(run) as folder:
        assert not trainer(figures, folder, L1_ONLY).train(stop)
    larger = replace(L1_ONLY, batch_size=5)
    with RunFolder(run) as folder:  # 8 pairs are left of the first epoch, then 12 and 12
        second_part = trainer(figures, folder, larger)
        assert second_part.changes == ("--batch-size was 4, now 5",)
        assert second_part.steps == 1 + 2 + 3 + 3
        assert not second_part.train(
            lambda progress: stop(replace(progress, step=progress.step - 1))
        )
    steps = train(figures, run, larger)
    assert [(progress.step, progress.epoch) for progress in steps] == [
        (3, 0), (4, 1), (5, 1), (6, 1), (7, 2), (8, 2), (9, 2)
    ]  # fmt: skip


def test_fewer_epochs_than_trained(figures: Path, tmp_path: Path) -> None:
    def stop(progress: StepReport) -> None:
        if progress.step == 4:
            signal.raise_signal(signal.SIGTERM)

    with RunFolder(tmp_path / "run") as folder:
        assert not trainer(figures, folder, replace(L1_ONLY, epochs=9)).train(stop)
    message = "has already trained 1 epochs and a part of the next: give at least --epochs 2"
    with RunFolder(tmp_path / "run") as folder, pytest.raises(InputError, match=message):
        trainer(figures, folder, replace(L1_ONLY, epochs=1))
    assert train(figures, tmp_path / "run", replace(L1_ONLY, epochs=2))[-1].step == 6
    assert metrics(tmp_path / "run")[-1]["step"] == 6


def test_the_last_trained_epoch_may_become_the_last(figures: Path, tmp_path: Path) -> None:
    def stop(progress: StepReport) -> None:
        if progress.step == 3:
            signal.raise_signal(signal.SIGTERM)

    with RunFolder(tmp_path / "run") as folder:
        assert not trainer(figures, folder, L1_ONLY).train(stop)
    assert not (tmp_path / "run" / "generator-best.pth").exists()
    assert train(figures, tmp_path / "run", replace(L1_ONLY, epochs=1)) == []
    assert (tmp_path / "run" / "generator-best.pth").exists()


def test_a_checkpoint_of_an_impossible_position(figures: Path, tmp_path: Path) -> None:
    config = replace(L1_ONLY, epochs=1)
    train(figures, tmp_path / "run", config)
    path = tmp_path / "run" / "checkpoint-last.pth"
    state = torch.load(path, weights_only=True)
    for start in ([9, 0, 0], [0, 0, 12], [0, -1, 0], "abc", None):
        torch.save(state | {"start": start}, path)
        with RunFolder(tmp_path / "run") as folder, pytest.raises(ModelError, match="not a compl"):
            trainer(figures, folder, config)
    del state["start"]  # as earlier versions wrote it
    torch.save(state, path)
    assert train(figures, tmp_path / "run", config) == []
    torch.save({"step": 3}, path)
    with RunFolder(tmp_path / "run") as folder, pytest.raises(ModelError, match="no settings"):
        trainer(figures, folder, config)


def test_the_keys_of_a_checkpoint_never_change(figures: Path, tmp_path: Path) -> None:
    """Runs of earlier versions are resumed only if these are the keys that they stored."""
    run = tmp_path / "run"
    train(figures, run, replace(CONFIG, epochs=1))
    state = torch.load(run / "checkpoint-last.pth", weights_only=True)
    assert set(state) == {
        "config", "step", "best", "owed", "start", "generator", "average", "optimiser",
        "discriminator", "discriminator_optimiser",
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
        """An Accelerator of two processes, the other of which resumes from step 4."""

        device = torch.device("cpu")

        def gather(self, step: torch.Tensor) -> torch.Tensor:
            return torch.cat([torch.tensor([4]), step])

    check_same_step(Two(), Path("run"), 4)
    with pytest.raises(InputError, match=r"\[0, 4\].*share"):
        check_same_step(Two(), Path("run"), 0)


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
    with RunFolder(tmp_path / "run") as folder, pytest.raises(ModelError, match="not a complete"):
        trainer(figures, folder, config)


def test_two_runs_in_one_folder(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run"), pytest.raises(InputError, match="another `dptn train`"):
        RunFolder(tmp_path / "run")


@pytest.mark.parametrize(
    ("save_every", "message", "saved_step"),
    [
        (3, r"step 5: a loss is not finite.*--learning-rate", 3),
        # A finite loss can have an infinite gradient, which only shows in the next step's loss.
        (2, r"step 4: the weights are not finite.*is kept", 2),
    ],
)
def test_a_run_that_diverges_keeps_the_last_checkpoint(
    figures: Path, tmp_path: Path, save_every: int, message: str, saved_step: int
) -> None:
    run = tmp_path / "run"
    with RunFolder(run) as folder:
        logging = replace(LOGGING, save_every=save_every)
        diverging = trainer(figures, folder, replace(L1_ONLY, epochs=4), logging)

        def poison(progress: StepReport) -> None:
            if progress.step == 4:
                with torch.no_grad():
                    next(diverging.gan.generator.parameters()).fill_(float("inf"))

        with pytest.raises(ModelError, match=message):
            diverging.train(poison)
    state = torch.load(run / "checkpoint-last.pth", weights_only=True)
    assert state["step"] == saved_step
    assert all(value.isfinite().all() for value in state["generator"].values())


@pytest.mark.parametrize("broken", [1, 3])
def test_broken_test_images_are_left_out_and_reported(
    figures: Path, tmp_path: Path, broken: int
) -> None:
    shutil.copytree(figures, tmp_path / "data")
    with RunFolder(tmp_path / "run") as folder:
        run = trainer(tmp_path / "data", folder, replace(L1_ONLY, epochs=1))
        victims = sorted((tmp_path / "data" / "test").iterdir())[:broken]
        for victim in victims:
            victim.write_bytes(victim.read_bytes()[:500])
        assert run.train(lambda _: None)
    assert run.unreadable
    assert all(victim.name in "".join(run.unreadable) for victim in victims)
    scores = [line for line in metrics(tmp_path / "run") if "validation/ssim" in line]
    assert len(scores) == (1 if broken == 1 else 0)
    assert (tmp_path / "run" / "grids").is_dir() == (broken == 1)


def test_a_killed_worker_is_one_line(figures: Path, tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as folder:
        run = trainer(figures, folder, replace(L1_ONLY, batch_size=1), replace(LOGGING, workers=1))

        def kill(progress: StepReport) -> None:
            (worker,) = multiprocessing.active_children()
            worker.kill()
            worker.join()

        with pytest.raises(InputError, match="fewer --workers"):
            run.train(kill)


def test_an_image_that_breaks_during_the_run(figures: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", str(figures), str(tmp_path / "data")], check=True)
    config = replace(L1_ONLY, batch_size=1)
    run = tmp_path / "run"
    with RunFolder(run) as folder:
        stopping = trainer(tmp_path / "data", folder, config, replace(LOGGING, workers=1))
        victim = sorted((tmp_path / "data" / "train").iterdir())[0]
        victim.write_bytes(victim.read_bytes()[:500])
        with pytest.raises(InputError, match=victim.name) as error:
            stopping.train(lambda _: None)
        assert "Traceback" not in str(error.value)
        assert stopping.step == torch.load(run / "checkpoint-last.pth", weights_only=True)["step"]


def test_no_test_phase_means_no_validation(figures: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", str(figures), str(tmp_path / "data")], check=True)
    subprocess.run(["rm", "-r", str(tmp_path / "data" / "test")], check=True)
    assert read_data(tmp_path / "data", CONFIG.spec).test is None
    train(tmp_path / "data", tmp_path / "run", replace(L1_ONLY, epochs=1))
    assert not (tmp_path / "run" / "generator-best.pth").exists()
    assert (tmp_path / "run" / "grids" / "step-00000003.png").exists()


def test_the_published_schedule() -> None:
    config = TrainConfig(TINY_CONFIG, TINY_SPEC)
    rates = [config.learning_rates(epoch).generator for epoch in (0, 99, 100, 199)]
    assert rates[:2] == [2e-4, 2e-4]
    assert rates[2:] == pytest.approx([2e-4 * (1 - 1 / 101), 2e-4 / 101])


@pytest.mark.parametrize(
    "wrong",
    [{"batch_size": 0}, {"epochs": 0}, {"learning_rate": 0.0}, {"ema_decay": 1.0},
     {"discriminator_layers": 9}, {"learning_rate": float("nan")}],
)  # fmt: skip
def test_settings_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        replace(CONFIG, **wrong)


def test_fewer_epochs_than_constant_ones() -> None:
    config = replace(CONFIG, epochs=99, constant_epochs=100)
    assert {config.learning_rates(epoch).generator for epoch in range(99)} == {config.learning_rate}


def test_a_batch_that_cannot_be_divided(figures: Path, tmp_path: Path) -> None:
    two_processes = cast(Accelerator, SimpleNamespace(num_processes=2))
    config = replace(CONFIG, batch_size=3)
    with RunFolder(tmp_path) as folder, pytest.raises(InputError, match="of their number, 2"):
        Trainer(read_data(figures, SPEC), folder, config, accelerator=two_processes)


def can_mount() -> bool:
    command = ["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /tmp"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


CAN_MOUNT = sys.platform == "linux" and can_mount()


@pytest.mark.slow
class TestTwoProcesses:
    """Two processes on the CPU, started as `accelerate launch` and torchrun start them."""

    def launcher(self, *command: object) -> list[object]:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        return [*launcher, "--nproc_per_node", "2", *command]

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        return self.start(*self.launcher(*command))

    def start(self, *command: object) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "ACCELERATE_USE_CPU": "true",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        return subprocess.run(
            list(map(str, command)),
            capture_output=True,
            text=True,
            env=environment,
            timeout=240,
        )

    def test_they_train_like_one_process(self, figures: Path, tmp_path: Path) -> None:
        """Eleven pairs in batches of ten: the second process gets no part of the last batch."""
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
        with one_thread():  # as in the two processes: threads change the order of float sums
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

    def test_the_command_writes_one_run_folder(self, figures: Path, tmp_path: Path) -> None:
        done = self.run(*self.command(figures, tmp_path / "run", 6))
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
        assert "6 per step, 3 on each of 2 (cpu)" in done.stderr
        assert done.stderr.count("12 pairs") == 1, "only one process prints"
        assert load_generator(tmp_path / "run" / "generator-best.pth").spec == SPEC
        assert metrics(tmp_path / "run")[-1]["step"] == 2

    @pytest.mark.skipif(not CAN_MOUNT, reason="may not mount a file system")
    def test_a_full_disk_ends_both(self, figures: Path, tmp_path: Path) -> None:
        (tmp_path / "full").mkdir()
        mount = f"mount -t tmpfs -o size=2m tmpfs {tmp_path / 'full'}"
        training = self.launcher(*self.command(figures, tmp_path / "full" / "run", 6))
        script = f'{mount}; "$@"; ls -A {tmp_path / "full" / "run"}'
        done = self.start("unshare", "-m", "sh", "-c", script, "sh", *training)
        assert "checkpoint-last.pth: No space left on device; the run stopped" in done.stderr
        assert "defect" not in done.stderr
        exit_codes = set(re.findall(r"exitcode *: (-?\d+)", done.stderr))
        assert "1" in exit_codes
        assert exit_codes <= {"1", "-15"}, "torchrun may send SIGTERM to the other"
        left = done.stdout.split()
        assert left == [".lock", "generator-best.pth", "grids", "metrics.jsonl", "tensorboard"]
