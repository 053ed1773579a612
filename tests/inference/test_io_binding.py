"""Bound buffers and fixed shapes, tested on the CPU: the logic is the same on a GPU."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
from support import TINY_SPEC

from dptn_cli.enums import Provider
from dptn_cli.errors import ModelError
from dptn_cli.inference import session as session_module
from dptn_cli.inference.io_binding import BoundSession, pad, padded_size
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.inference.throughput import example_batch
from dptn_cli.types import Batch

MAX_COUNT = 5


@pytest.fixture(scope="module")
def bare(tiny_model: Path) -> ort.InferenceSession:
    return ort.InferenceSession(str(tiny_model), providers=["CPUExecutionProvider"])


def plain(session: ort.InferenceSession, batch: Batch) -> npt.NDArray[np.uint8]:
    return np.asarray(session.run(["generated"], batch.feeds())[0])


def shifted(batch: Batch, rows: int) -> Batch:
    """Return a batch of the same shapes with other images."""
    sources = np.roll(batch.sources, rows, axis=1)
    return Batch(sources, batch.source_poses, batch.target_poses, batch.source_index)


class TestPadding:
    def test_sizes(self) -> None:
        sizes = [padded_size(count) for count in range(1, 65)]
        assert sorted(set(sizes)) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]
        assert all(count <= size <= 1.5 * count for count, size in enumerate(sizes, 1))

    def test_the_last_source_and_target_are_repeated(self) -> None:
        batch = example_batch(TINY_SPEC, 5, 7)
        larger = pad(batch)
        assert (len(larger.sources), len(larger.target_poses)) == (6, 8)
        for name, array in batch.feeds().items():
            padded = larger.feeds()[name]
            assert padded.dtype == array.dtype
            np.testing.assert_array_equal(padded[: len(array)], array)
            np.testing.assert_array_equal(padded[-1], array[-1])


@pytest.mark.parametrize(("sources", "targets"), list(product(range(1, MAX_COUNT + 1), repeat=2)))
def test_results_equal_those_of_a_plain_run(
    bare: ort.InferenceSession, sources: int, targets: int
) -> None:
    batch = example_batch(TINY_SPEC, sources, targets)
    generated = BoundSession(bare, "cpu").run(batch)
    assert generated.shape == (targets, *TINY_SPEC.network_size, 3)
    np.testing.assert_array_equal(generated, plain(bare, batch))


def test_an_image_does_not_depend_on_its_batch(bare: ort.InferenceSession) -> None:
    bound, batch = BoundSession(bare, "cpu"), example_batch(TINY_SPEC, 3, 7)
    together = bound.run(batch).astype(int)
    for row, source in enumerate(batch.source_index):
        alone = Batch(
            batch.sources[[source]],
            batch.source_poses[[source]],
            batch.target_poses[[row]],
            np.zeros(1, np.int64),
        )
        assert np.abs(bound.run(alone)[0] - together[row]).max() <= 1


def test_buffers_are_reused_and_returned_arrays_do_not_change(
    bare: ort.InferenceSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []
    real = ort.OrtValue.ortvalue_from_shape_and_type

    def counted(shape: tuple[int, ...], *rest: object) -> ort.OrtValue:
        shapes.append(shape)
        return real(shape, *rest)

    monkeypatch.setattr(ort.OrtValue, "ortvalue_from_shape_and_type", counted)
    bound, batch = BoundSession(bare, "cpu"), example_batch(TINY_SPEC, 2, 3)
    first = bound.run(batch)
    copy = first.copy()
    assert len(shapes) == 5, "four inputs and the output"
    second = bound.run(shifted(batch, 20))
    assert len(shapes) == 5
    assert (first != second).any()
    np.testing.assert_array_equal(first, copy)
    bound.run(example_batch(TINY_SPEC, 2, 4))
    assert len(shapes) == 8, "target poses, source index and output have another size"


def test_several_streams_at_once(bare: ort.InferenceSession) -> None:
    bound = BoundSession(bare, "cpu", streams=3)
    batches = [shifted(example_batch(TINY_SPEC, 1 + i % 3, 2 + i % 4), i) for i in range(30)]
    expected = [plain(bare, batch) for batch in batches]
    with ThreadPoolExecutor(6) as threads:
        for generated, images in zip(threads.map(bound.run, batches), expected, strict=True):
            np.testing.assert_array_equal(generated, images)


class FailingSession:
    """A session whose bound runs raise `errors`, one each, and then work."""

    def __init__(self, session: ort.InferenceSession, errors: list[Exception]) -> None:
        self._real, self._errors = session, iter(errors)
        self.bound_runs, self.plain_runs = 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def run_with_iobinding(self, binding: ort.IOBinding) -> None:
        self.bound_runs += 1
        for error in self._errors:
            raise error
        self._real.run_with_iobinding(binding)

    def run(self, *arguments: Any) -> Any:
        self.plain_runs += 1
        return self._real.run(*arguments)


class TestFailure:
    @pytest.mark.parametrize(
        "error",
        [
            RuntimeError("CUDA failure 2: out of memory ; GPU=0"),
            RuntimeError("Available memory of 12 is smaller than requested bytes of 34"),
            RuntimeError("CUDNN_STATUS_ALLOC_FAILED"),
            MemoryError(),
        ],
    )
    def test_out_of_memory_falls_back_to_a_plain_run_once(
        self, bare: ort.InferenceSession, error: Exception
    ) -> None:
        session, batch = FailingSession(bare, [error]), example_batch(TINY_SPEC, 2, 3)
        bound = BoundSession(session, "cpu")
        for _ in range(2):
            np.testing.assert_array_equal(bound.run(batch), plain(bare, batch))
        assert (session.bound_runs, session.plain_runs) == (2, 1)

    def test_no_memory_for_a_buffer(
        self, bare: ort.InferenceSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*_: object) -> None:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 123")

        monkeypatch.setattr(ort.OrtValue, "ortvalue_from_shape_and_type", refused)
        batch = example_batch(TINY_SPEC, 2, 3)
        generated = BoundSession(bare, "cpu").run(batch)
        np.testing.assert_array_equal(generated, plain(bare, batch))

    def test_another_error_is_raised_and_the_stream_stays_usable(
        self, bare: ort.InferenceSession
    ) -> None:
        session = FailingSession(bare, [RuntimeError("illegal instruction")])
        bound, batch = BoundSession(session, "cpu"), example_batch(TINY_SPEC, 2, 3)
        with pytest.raises(RuntimeError, match="illegal instruction"):
            bound.run(batch)
        np.testing.assert_array_equal(bound.run(batch), plain(bare, batch))
        assert session.plain_runs == 0


def pretend_cuda(monkeypatch: pytest.MonkeyPatch, session: Any) -> None:
    """Make onnxruntime open `session`, as if it ran on CUDA."""
    session.get_providers = lambda: ["CUDAExecutionProvider"]
    monkeypatch.setattr(session_module, "gpu_problem", lambda *_: "")
    monkeypatch.setattr(ort, "InferenceSession", lambda *_, **__: session)


class TestSession:
    """A session that takes the CPU for a GPU."""

    @pytest.fixture
    def bound_sessions(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, int]]]:
        calls = []

        class CpuBoundSession(BoundSession):
            def __init__(self, session: Any, device: str, **options: int) -> None:
                calls.append((device, options))
                super().__init__(session, "cpu", streams=options["streams"])

        monkeypatch.setattr(session_module, "BoundSession", CpuBoundSession)
        return calls

    def test_a_gpu_session_is_bound(
        self,
        tiny_model: Path,
        bare: ort.InferenceSession,
        monkeypatch: pytest.MonkeyPatch,
        bound_sessions: list[tuple[str, dict[str, int]]],
    ) -> None:
        counted = FailingSession(bare, [])
        pretend_cuda(monkeypatch, counted)
        session = Session(read_model(tiny_model), Provider.CUDA, device=1)
        batch = example_batch(TINY_SPEC, 2, 5)
        np.testing.assert_array_equal(session.run(batch), plain(bare, batch))
        assert (counted.bound_runs, counted.plain_runs) == (1, 0)
        assert bound_sessions == [("cuda", {"device_id": 1, "streams": session_module.GPU_STREAMS})]

    def test_a_failure_is_a_model_error(
        self,
        tiny_model: Path,
        bare: ort.InferenceSession,
        monkeypatch: pytest.MonkeyPatch,
        bound_sessions: list[tuple[str, dict[str, int]]],
    ) -> None:
        failing = FailingSession(bare, [RuntimeError("device lost")])
        pretend_cuda(monkeypatch, failing)
        session = Session(read_model(tiny_model), Provider.CUDA)
        assert len(bound_sessions) == 1
        with pytest.raises(ModelError, match="inference failed: device lost"):
            session.run(example_batch(TINY_SPEC, 1, 1))

    def test_a_cpu_session_is_not_bound(
        self, tiny_model: Path, bound_sessions: list[tuple[str, dict[str, int]]]
    ) -> None:
        Session(read_model(tiny_model), Provider.CPU).run(example_batch(TINY_SPEC, 1, 1))
        assert not bound_sessions
