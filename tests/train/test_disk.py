"""A run whose disk refuses a file: it stops, keeps what was whole, and goes on later."""

import json
import resource
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import LINE_TIME, dptn
from training import CONFIG, LOGGING, equal, train, trainer, weights
from typer.testing import Result

from dptn_cli.errors import RunStopped
from dptn_cli.train.loop import StepReport
from dptn_cli.train.run_folder import RunFolder


@pytest.fixture
def limit_file_size() -> Iterator[Callable[[int], None]]:
    """A function that lets no file of this process grow further: the system refuses half-way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


UNLIMITED = resource.RLIM_INFINITY
LimitFileSize = Callable[[int], None]


def command(data: Path, run: Path, *more: object) -> Result:
    return dptn(
        "train", data, "-o", run, "--dataset", "figures", "--image-size", "64x48", "--width", 8,
        "--no-perceptual", "--discriminator-layers", 2, "--workers", 0, "--batch-size", 6,
        "--constant-epochs", 9, "--log-every", 1, "--grid-every", 1, "--validate-every", 1,
        "--validation-pairs", 1, "--save-every", 1, *more,
    )  # fmt: skip


def message(result: Result) -> str:
    assert "Traceback" not in result.stderr
    return " ".join(LINE_TIME.sub("", result.stderr).split())


@pytest.fixture(scope="module")
def finished(figures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of two steps."""
    run = tmp_path_factory.mktemp("finished") / "run"
    assert command(figures, run, "--epochs", 1).exit_code == 0
    return run


@pytest.mark.parametrize(
    ("file", "validate_every"),
    [("grids/step-00000001.png", 9), ("generator-best.pth", 1), ("checkpoint-last.pth", 1)],
)
def test_a_refused_file_stops_a_new_run(
    figures: Path,
    tmp_path: Path,
    finished: Path,
    limit_file_size: LimitFileSize,
    file: str,
    validate_every: int,
) -> None:
    run = tmp_path / "run"
    limit_file_size((finished / file).stat().st_size - 1)
    result = command(figures, run, "--epochs", 1, "--validate-every", validate_every)
    limit_file_size(UNLIMITED)
    assert result.exit_code == 1, result.stderr
    assert f"{run / file}: File too large; the run stopped, and there is no ch" in message(result)
    assert not (run / file).exists()
    assert not list(run.rglob("*.part"))
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines][:1] == [1]
    assert command(figures, run, "--epochs", 1).exit_code == 0
    assert equal(weights(run), weights(finished))


def test_a_refused_file_stops_a_resumed_run(
    figures: Path, tmp_path: Path, finished: Path, limit_file_size: LimitFileSize
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    before = {path: path.read_bytes() for path in run.glob("*.pth")}
    for path in run.glob("generator-last*"):
        path.unlink()  # as if the disk had been full after the last step's checkpoint
    limit_file_size((finished / "generator-last.pth").stat().st_size - 1)
    result = command(figures, run, "--epochs", 1)
    limit_file_size(UNLIMITED)
    assert result.exit_code == 1, result.stderr
    assert "checkpoint-last.pth: File too large" in message(result)
    assert "the same command goes on from the last checkpoint" in message(result)
    again = command(figures, run, "--epochs", 1)
    assert again.exit_code == 0, again.stderr
    assert {path.name for path in run.glob("*.pth")} == {path.name for path in before}
    assert equal(weights(run), weights(finished))


def stop_after_first_step(data: Path, run: Path, harm: Callable[[], object]) -> str:
    """Train, do some harm after the first step, and return the message."""

    def on_step(progress: StepReport) -> None:
        if progress.step == 1:
            harm()

    logging = replace(LOGGING, log_every=1)
    with pytest.raises(RunStopped) as error, RunFolder(run) as folder:  # noqa: PT012
        trainer(data, folder, replace(CONFIG, epochs=1), logging).train(on_step)
    return str(error.value)


def test_a_line_that_does_not_fit_is_dropped(
    figures: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    limit_file_size: LimitFileSize,
) -> None:
    """The system takes the first 60 bytes, and no more of TensorBoard's file."""
    text = stop_after_first_step(figures, tmp_path / "run", lambda: limit_file_size(60))
    limit_file_size(UNLIMITED)  # before pytest writes a line
    assert text.startswith(f"{tmp_path / 'run' / 'metrics.jsonl'}: File too large; ")
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == b""
    assert "Traceback" not in capfd.readouterr().err


def test_tensorboards_file_that_does_not_fit(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], limit_file_size: LimitFileSize
) -> None:
    """Its thread writes later. The error is told in one line, as that of any other file."""
    run = tmp_path / "run"
    with pytest.raises(RunStopped, match="tensorboard: File too large"), RunFolder(run) as folder:  # noqa: PT012
        folder.open_metrics(0)
        (event_file,) = (run / "tensorboard").iterdir()
        limit_file_size(event_file.stat().st_size + 10)
        folder.log(1, {"": 1})
    limit_file_size(UNLIMITED)  # before pytest writes a line
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_removed_run_folder(figures: Path, tmp_path: Path, is_replaced: bool) -> None:
    run = tmp_path / "run"

    def remove() -> None:
        shutil.rmtree(run)
        if is_replaced:
            run.mkdir()

    text = stop_after_first_step(figures, run, remove)
    assert f"{run} was removed, moved or replaced during the run; the run stopped" in text
    assert run.exists() == is_replaced
    assert not is_replaced or not list(run.iterdir())


def test_removed_metrics(figures: Path, tmp_path: Path) -> None:
    metrics = tmp_path / "run" / "metrics.jsonl"
    text = stop_after_first_step(figures, tmp_path / "run", metrics.unlink)
    assert f"{metrics}: {metrics} was removed, moved or replaced during the run" in text
    train(figures, tmp_path / "run", replace(CONFIG, epochs=1))
    assert metrics.exists()
