"""bf16 is taken only where it is asked for, possible, and close to the model's own arithmetic."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import dptn_cli.inference.arithmetic as arithmetic
from dptn_cli.enums import Arithmetic, Provider
from dptn_cli.errors import ModelError
from dptn_cli.inference.arithmetic import MIN_PSNR_DB, SettlingSession, settle
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.openvino_model import has_bf16
from dptn_cli.inference.session import ProviderUnavailable, Session
from dptn_cli.inference.throughput import example_batch
from dptn_cli.processor import MAX_CPU_STREAMS
from dptn_cli.types import Batch


@pytest.fixture
def session(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "cache"))
    return Session(read_model(tiny_model), Provider.OPENVINO)


class Brighter(Session):
    """Stands for a session in bf16 whose images differ by some levels from those of another."""

    def __init__(self, session: Session, levels: int) -> None:
        self._session, self._levels = session, levels
        self.model, self.arithmetic = session.model, Arithmetic.BF16

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        images = self._session.run(batch)
        # Each value differs by `levels`, in the direction in which there is room.
        return np.where(images < 128, images + self._levels, images - self._levels).astype(np.uint8)


def let_bf16_differ(session: Session, monkeypatch: pytest.MonkeyPatch, levels: int) -> None:
    monkeypatch.setattr(Session, "in_bf16", lambda _: Brighter(session, levels))


def test_the_model_as_it_is(session: Session) -> None:
    settled = settle(session, Arithmetic.MODEL, None)
    assert (settled.session, settled.psnr_db, settled.note) == (session, None, "")


@pytest.mark.parametrize("wanted", [Arithmetic.BF16, Arithmetic.AUTO])
def test_close_images_are_taken_and_told(
    session: Session, wanted: Arithmetic, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_bf16_differ(session, monkeypatch, levels=1)
    settled = settle(session, wanted, example_batch(session.model.spec, 2, 3))
    assert settled.session.arithmetic is Arithmetic.BF16
    assert settled.psnr_db == pytest.approx(20 * np.log10(255))
    assert settled.note == ("Running in bf16: PSNR 48.1 dB against fp32, on the first 3 images.")


def test_images_that_differ_too_much_are_refused(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_bf16_differ(session, monkeypatch, levels=2)  # 42.1 dB
    batch = example_batch(session.model.spec, 2, 3)
    assert 42.1 < MIN_PSNR_DB < 48.1
    with pytest.raises(ModelError, match=r"^--arithmetic bf16: PSNR .* is 42.1 dB against fp32"):
        settle(session, Arithmetic.BF16, batch)
    settled = settle(session, Arithmetic.AUTO, batch)
    assert (settled.session, settled.psnr_db) == (session, None)
    assert settled.note.startswith("Running in fp32, not in bf16: PSNR of its images is 42.1 dB")


def test_without_images_bf16_is_taken_only_by_name(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_bf16_differ(session, monkeypatch, levels=0)
    named = settle(session, Arithmetic.BF16, None)
    assert (named.session.arithmetic, named.psnr_db) == (Arithmetic.BF16, None)
    chosen = settle(session, Arithmetic.AUTO, None)
    assert chosen.session is session
    assert "no image" in chosen.note


def test_equal_images_have_a_finite_psnr(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    let_bf16_differ(session, monkeypatch, levels=0)
    settled = settle(session, Arithmetic.AUTO, example_batch(session.model.spec, 1, 1))
    assert settled.psnr_db == arithmetic.MAX_PSNR_DB
    assert settled.note.endswith("on the first image.")


def test_a_refusal_is_final_and_told_once(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Session] = []

    def in_bf16(own: Session) -> Session:
        opened.append(own)
        return Brighter(own, levels=2)

    monkeypatch.setattr(Session, "in_bf16", in_bf16)
    told: list[str] = []
    settling = SettlingSession(session, Arithmetic.BF16, told.append)
    for _ in range(3):
        with pytest.raises(ModelError, match="is 42.1 dB against fp32"):
            settling.run(example_batch(session.model.spec, 1, 1))
    assert opened == [session]
    assert len(told) == 1
    assert settling.settled is None


@pytest.mark.parametrize("threads", [2, 12])
def test_in_bf16_each_core_runs_an_inference_of_its_own(session: Session, threads: int) -> None:
    """Threads that share one add in another order, which shows in bf16."""
    own = Session(session.model, Provider.OPENVINO, threads=threads)
    assert own.streams == min(threads, MAX_CPU_STREAMS)
    if not has_bf16():
        with pytest.raises(ProviderUnavailable, match="does not compute in bf16"):
            own.in_bf16()
        return
    fast = own.in_bf16()
    assert fast.streams == threads
    batch = example_batch(session.model.spec, 4, 4)
    first = Batch(
        batch.sources[:1], batch.source_poses[:1], batch.target_poses[:1], batch.source_index[:1]
    )
    np.testing.assert_array_equal(fast.run(first), fast.run(batch)[:1])


def test_a_provider_without_bf16(tiny_model: Path) -> None:
    session = Session(read_model(tiny_model), Provider.CPU)
    with pytest.raises(ModelError, match="^--arithmetic bf16: bf16 needs --provider openvino$"):
        settle(session, Arithmetic.BF16, None)
    settled = settle(session, Arithmetic.AUTO, None)
    assert settled.session is session
    assert settled.note == "Running in fp32, not in bf16: bf16 needs --provider openvino."


def test_the_processor_decides_without_a_stand_in(session: Session) -> None:
    """The whole chain on this machine, with a tiny network of random weights."""
    batch = example_batch(session.model.spec, 2, 4)
    settled = settle(session, Arithmetic.AUTO, batch)
    is_close = settled.psnr_db is not None
    assert (settled.session.arithmetic is Arithmetic.BF16) == is_close
    if not has_bf16():
        assert "does not compute in bf16" in settled.note
    elif is_close:
        assert settled.psnr_db and settled.psnr_db >= MIN_PSNR_DB
    else:
        assert "dB against fp32" in settled.note


def test_the_first_batch_decides_for_all(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    let_bf16_differ(session, monkeypatch, levels=1)
    settling = SettlingSession(session, Arithmetic.BF16)
    assert settling.settled is None
    batch = example_batch(session.model.spec, 1, 2)
    images = settling.run(batch)
    assert (images != session.run(batch)).all()
    settled = settling.settled
    settling.run(batch)
    assert settling.settled is settled
