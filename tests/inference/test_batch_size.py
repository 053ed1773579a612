"""Choosing a batch size: it is measured once, in bounded time, and never fails a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from support import TINY_SPEC, Folder

from dptn_cli.enums import Provider
from dptn_cli.errors import ModelError
from dptn_cli.inference.batch_size import BUDGET_S, CANDIDATES, best_batch_size
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.transfer.plan import TransferRequest, make_job
from dptn_cli.types import Batch, Job


class FakeClock:
    """The `run` of a session and the clock that it advances.

    Args:
        seconds: duration of a batch, by its size. Other sizes run out of memory.
    """

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds, self.sizes, self.now_s = seconds, list[int](), 0.0

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        size = len(batch.source_index)
        if size not in self.seconds:
            raise ModelError("inference failed: out of memory")
        self.sizes.append(size)
        self.now_s += self.seconds[size]
        return np.zeros((size, *TINY_SPEC.network_size, 3), np.uint8)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def session(tiny_model: Path) -> Session:
    return Session(read_model(tiny_model), Provider.CPU, streams=1)


@pytest.fixture
def job(folder: Folder) -> Job:
    """A small job that claims to be large enough to measure for."""
    job = make_job(TransferRequest(folder.out, folder.pairs), read_model(folder.model))
    return replace(job, planned=10_000)


def use_fake_clock(
    session: Session, monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]
) -> FakeClock:
    clock = FakeClock(seconds)
    monkeypatch.setattr(session, "run", clock.run)
    monkeypatch.setattr("time.monotonic", lambda: clock.now_s)
    monkeypatch.setattr("time.perf_counter", lambda: clock.now_s)
    return clock


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ({1: 0.1, 4: 0.3, 8: 0.5, 2: 0.2, 16: 0.8}, 16),
        ({1: 0.1, 4: 0.3, 8: 0.8, 2: 0.2, 16: 1.6}, 4),
        # 8 is faster, but by less than the tolerance.
        ({1: 0.1, 4: 0.4, 8: 0.79, 2: 0.2, 16: 1.6}, 4),
        # Nothing else fits into memory.
        ({1: 0.1, 4: 0.3}, 4),
        ({1: 0.1, 8: 0.8, 2: 0.1}, 2),
        ({}, 8),
    ],
)
def test_the_fastest_size_is_chosen(
    cache: Path,
    session: Session,
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
    seconds: dict[int, float],
    best: int,
) -> None:
    use_fake_clock(session, monkeypatch, seconds)
    assert best_batch_size(session, job) == best


def test_measuring_stays_within_the_time_budget(
    cache: Path, session: Session, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = use_fake_clock(session, monkeypatch, {1: 1.0, 4: 3.0, 8: 5.0, 2: 0.9, 16: 9.0})
    assert best_batch_size(session, job) == 4
    assert clock.sizes == [1, 4], "8, 2 and 16 are predicted to exceed the budget"
    assert clock.now_s <= BUDGET_S


def test_the_size_is_measured_once(
    cache: Path, session: Session, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = use_fake_clock(session, monkeypatch, {1: 0.01, 4: 0.01, 8: 0.08, 2: 0.02, 16: 0.16})
    assert best_batch_size(session, job) == 4
    measured = len(clock.sizes)
    assert best_batch_size(session, job) == 4
    assert len(clock.sizes) == measured > 0
    (path,) = (cache / "batch-size").iterdir()
    path.write_text("damaged")
    assert best_batch_size(session, job) == 4
    assert len(clock.sizes) == 2 * measured, "a damaged entry is measured again"


def test_models_and_source_shares_have_separate_entries(
    cache: Path, session: Session, job: Job, other_tiny_model: Path
) -> None:
    item = next(job.items())
    shared = replace(job, items=lambda: iter([item] * 64))
    other = Session(read_model(other_tiny_model), Provider.CPU, streams=1)
    best_batch_size(session, job)
    best_batch_size(session, shared)
    best_batch_size(other, job)
    assert len(list((cache / "batch-size").iterdir())) == 3


def test_an_unwritable_cache_is_ignored(
    tmp_path: Path, session: Session, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "file"))
    assert best_batch_size(session, job) in CANDIDATES[Provider.CPU]


@pytest.mark.parametrize(("planned", "streams", "size"), [(1, 2, 1), (5, 2, 3), (100, 2, 8)])
def test_small_jobs_are_divided_among_streams_without_measuring(
    cache: Path, tiny_model: Path, job: Job, planned: int, streams: int, size: int
) -> None:
    session = Session(read_model(tiny_model), Provider.CPU, streams=streams)
    assert best_batch_size(session, replace(job, planned=planned)) == size
    assert not cache.exists()


@pytest.mark.parametrize("text", ["0", "-1", "1025", "many", ""])
def test_invalid_batch_sizes(folder: Folder, text: str) -> None:
    result = folder.transfer("--batch-size", text)
    assert result.exit_code == 2
    assert "must be `auto` or a number from 1 to 1024" in result.stderr
