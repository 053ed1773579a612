"""Bound buffers and fixed shapes, on the CPU: the logic is the GPU's."""

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
from dptn_cli.inference.io_binding import BoundSession, padded, padded_size
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.inference.throughput import example_batch
from dptn_cli.types import Batch

MOST = 5


@pytest.fixture(scope="module")
def bare(tiny_model: Path) -> ort.InferenceSession:
    return ort.InferenceSession(str(tiny_model), providers=["CPUExecutionProvider"])


def plain(session: ort.InferenceSession, batch: Batch) -> npt.NDArray[np.uint8]:
    return np.asarray(session.run(["generated"], batch.feeds())[0])


def with_seed(batch: Batch, seed: int) -> Batch:
    """The same shapes, other images."""
    moved = np.roll(batch.sources, seed, axis=1)
    return Batch(moved, batch.source_poses, batch.target_poses, batch.source_index)


class TestPadding:
    def test_sizes(self) -> None:
        sizes = [padded_size(count) for count in range(1, 65)]
        assert sorted(set(sizes)) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]
        assert all(count <= size <= 1.5 * count for count, size in enumerate(sizes, 1))

    def test_the_last_source_and_target_are_repeated(self) -> None:
        batch = example_batch(TINY_SPEC, 5, 7)
        larger = padded(batch)
        assert (len(larger.sources), len(larger.target_poses)) == (6, 8)
        for name, array in batch.feeds().items():
            whole = larger.feeds()[name]
            assert whole.dtype == array.dtype
            np.testing.assert_array_equal(whole[: len(array)], array)
            np.testing.assert_array_equal(whole[-1], array[-1])


@pytest.mark.parametrize(("sources", "targets"), list(product(range(1, MOST + 1), repeat=2)))
def test_the_plain_runs_images(bare: ort.InferenceSession, sources: int, targets: int) -> None:
    batch = example_batch(TINY_SPEC, sources, targets)
    found = BoundSession(bare, "cpu").run(batch)
    assert found.shape == (targets, *TINY_SPEC.network_size, 3)
    np.testing.assert_array_equal(found, plain(bare, batch))


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


def test_buffers_are_used_again_and_what_was_given_away_stays(
    bare: ort.InferenceSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    real = ort.OrtValue.ortvalue_from_shape_and_type

    def counted(shape: tuple[int, ...], *rest: object) -> ort.OrtValue:
        made.append(shape)
        return real(shape, *rest)

    monkeypatch.setattr(ort.OrtValue, "ortvalue_from_shape_and_type", counted)
    bound, batch = BoundSession(bare, "cpu"), example_batch(TINY_SPEC, 2, 3)
    first = bound.run(batch)
    kept = first.copy()
    assert len(made) == 5, "four inputs and the output"
    second = bound.run(with_seed(batch, 20))
    assert len(made) == 5
    assert (first != second).any()
    np.testing.assert_array_equal(first, kept)
    bound.run(example_batch(TINY_SPEC, 2, 4))
    assert len(made) == 8, "targets, index and images of another size"


def test_several_lanes_at_once(bare: ort.InferenceSession) -> None:
    bound = BoundSession(bare, "cpu", streams=3)
    batches = [with_seed(example_batch(TINY_SPEC, 1 + i % 3, 2 + i % 4), i) for i in range(30)]
    wanted = [plain(bare, batch) for batch in batches]
    with ThreadPoolExecutor(6) as threads:
        for found, right in zip(threads.map(bound.run, batches), wanted, strict=True):
            np.testing.assert_array_equal(found, right)


class Failing:
    """A session whose bound runs fail as long as `errors` has one left."""

    def __init__(self, session: ort.InferenceSession, errors: list[Exception]) -> None:
        self._real, self._errors = session, iter(errors)
        self.bound, self.plain = 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def run_with_iobinding(self, binding: ort.IOBinding) -> None:
        self.bound += 1
        for error in self._errors:
            raise error
        self._real.run_with_iobinding(binding)

    def run(self, *arguments: Any) -> Any:
        self.plain += 1
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
    def test_out_of_memory_is_run_plain_and_the_next_bound_again(
        self, bare: ort.InferenceSession, error: Exception
    ) -> None:
        session, batch = Failing(bare, [error]), example_batch(TINY_SPEC, 2, 3)
        bound = BoundSession(session, "cpu")
        for _ in range(2):
            np.testing.assert_array_equal(bound.run(batch), plain(bare, batch))
        assert (session.bound, session.plain) == (2, 1)

    def test_no_memory_for_a_buffer(
        self, bare: ort.InferenceSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*_: object) -> None:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 123")

        monkeypatch.setattr(ort.OrtValue, "ortvalue_from_shape_and_type", refused)
        batch = example_batch(TINY_SPEC, 2, 3)
        found = BoundSession(bare, "cpu").run(batch)
        np.testing.assert_array_equal(found, plain(bare, batch))

    def test_another_error_is_told_and_the_lane_goes_on(self, bare: ort.InferenceSession) -> None:
        session = Failing(bare, [RuntimeError("illegal instruction")])
        bound, batch = BoundSession(session, "cpu"), example_batch(TINY_SPEC, 2, 3)
        with pytest.raises(RuntimeError, match="illegal instruction"):
            bound.run(batch)
        np.testing.assert_array_equal(bound.run(batch), plain(bare, batch))
        assert session.plain == 0


def pretend_cuda(monkeypatch: pytest.MonkeyPatch, session: Any) -> None:
    """Make onnxruntime open this session, as if it ran on CUDA."""
    session.get_providers = lambda: ["CUDAExecutionProvider"]
    monkeypatch.setattr(session_module, "gpu_problem", lambda *_: "")
    monkeypatch.setattr(ort, "InferenceSession", lambda *_, **__: session)


class TestSession:
    """A session that believes to be on a GPU."""

    @pytest.fixture
    def bound_with(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, int]]]:
        seen = []

        class OnTheCpu(BoundSession):
            def __init__(self, session: Any, device: str, **rest: int) -> None:
                seen.append((device, rest))
                super().__init__(session, "cpu", streams=rest["streams"])

        monkeypatch.setattr(session_module, "BoundSession", OnTheCpu)
        return seen

    def test_it_runs_bound(
        self,
        tiny_model: Path,
        bare: ort.InferenceSession,
        monkeypatch: pytest.MonkeyPatch,
        bound_with: list[tuple[str, dict[str, int]]],
    ) -> None:
        counted = Failing(bare, [])
        pretend_cuda(monkeypatch, counted)
        session = Session(read_model(tiny_model), Provider.CUDA, device=1)
        batch = example_batch(TINY_SPEC, 2, 5)
        np.testing.assert_array_equal(session.run(batch), plain(bare, batch))
        assert (counted.bound, counted.plain) == (1, 0)
        assert bound_with == [("cuda", {"device_id": 1, "streams": session_module.GPU_STREAMS})]

    def test_a_failure_is_a_model_error(
        self,
        tiny_model: Path,
        bare: ort.InferenceSession,
        monkeypatch: pytest.MonkeyPatch,
        bound_with: list[tuple[str, dict[str, int]]],
    ) -> None:
        failing = Failing(bare, [RuntimeError("device lost")])
        pretend_cuda(monkeypatch, failing)
        session = Session(read_model(tiny_model), Provider.CUDA)
        assert len(bound_with) == 1
        with pytest.raises(ModelError, match="inference failed: device lost"):
            session.run(example_batch(TINY_SPEC, 1, 1))

    def test_on_the_cpu_it_does_not(
        self, tiny_model: Path, bound_with: list[tuple[str, dict[str, int]]]
    ) -> None:
        Session(read_model(tiny_model), Provider.CPU).run(example_batch(TINY_SPEC, 1, 1))
        assert not bound_with
