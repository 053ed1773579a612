"""`dptn bench --compare`: every provider and arithmetic that works here, on the same batches."""

import math
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dptn_cli.bench.measure import BenchOptions, check_complete, write_example_pairs
from dptn_cli.enums import Arithmetic, Provider
from dptn_cli.errors import ModelError
from dptn_cli.inference.session import Session, without_provider
from dptn_cli.inference.throughput import inference_rate
from dptn_cli.processor import available_cores, processor_abilities, processor_name
from dptn_cli.transfer.pipeline import first_batches
from dptn_cli.transfer.plan import TransferRequest, make_job
from dptn_cli.transfer.run_json import package_versions
from dptn_cli.types import Batch, Model

CANDIDATES = (
    (Provider.CPU, Arithmetic.MODEL),
    (Provider.OPENVINO, Arithmetic.MODEL),
    (Provider.OPENVINO, Arithmetic.BF16),
    (Provider.CUDA, Arithmetic.MODEL),
    (Provider.TENSORRT, Arithmetic.MODEL),
)
ROUNDS = 5
MAX_BATCHES = 16


@dataclass(frozen=True)
class Compared:
    """One provider in one arithmetic, beside the first of `CANDIDATES`.

    Attributes:
        provider: where the model ran.
        arithmetic: `fp32`, `bf16`, ...
        images_per_second: median over the rounds.
        ratio: that rate divided by the first candidate's, the median of the ratios of each round.
        psnr_db: PSNR of the images against the first candidate's; infinite if they are equal.
        largest_levels: largest difference of any value, in levels of 0..255.
        problem: why it could not be measured; empty if it was. The numbers are then NaN and 0.
    """

    provider: Provider
    arithmetic: str
    images_per_second: float = math.nan
    ratio: float = math.nan
    psnr_db: float = math.nan
    largest_levels: int = 0
    problem: str = ""


def compare_providers(
    model: Model,
    request: TransferRequest | None,
    options: BenchOptions,
    report_step: Callable[[str], None],
) -> list[Compared]:
    """Run a model in every provider and arithmetic that works here, in alternating rounds.

    Args:
        model: the model.
        request: the pairs whose first batches are run; its `out` is ignored. None generates a list
            of random images.
        options: the batch size, and how long to measure each candidate.
        report_step: called with the name of each step before it starts.

    Raises:
        InputError: the pair list cannot be used, or an image or a pose is missing.
        ModelError: an inference failed.
    """
    batches = _read_batches(model, request, options.batch_size)
    sessions: list[Session] = []
    failed: list[Compared] = []
    for provider, arithmetic in CANDIDATES:
        name = _name(model, arithmetic)
        report_step(f"{provider}, {name}")
        try:
            sessions.append(Session(model, provider, arithmetic=arithmetic))
        except ModelError as error:
            failed.append(Compared(provider, name, problem=without_provider(error)))
    images = [np.concatenate([session.run(batch) for batch in batches]) for session in sessions]
    rounds = []
    for number in range(ROUNDS):
        report_step(f"round {number + 1} of {ROUNDS}")
        rounds.append([_rate(session, batches, options.seconds / ROUNDS) for session in sessions])
    rates = np.array(rounds)
    measured = [
        Compared(
            session.provider,
            _name(model, session.arithmetic),
            statistics.median(rates[:, column]),
            statistics.median(rates[:, column] / rates[:, 0]),
            *_difference(images[0], images[column]),
        )
        for column, session in enumerate(sessions)
    ]
    return [*measured, *failed]


def _read_batches(model: Model, request: TransferRequest | None, size: int) -> list[Batch]:
    with tempfile.TemporaryDirectory(prefix="dptn-bench-") as name:
        folder = Path(name)
        request = request or TransferRequest(folder, write_example_pairs(folder, model.spec))
        job = make_job(replace(request, out=folder), model)
        check_complete(job, request)
        return list(first_batches(job, size, MAX_BATCHES))


def _rate(session: Session, batches: Sequence[Batch], seconds: float) -> float:
    # Every stream needs a batch at all times.
    repeats = math.ceil(2 * session.streams / len(batches))
    return inference_rate(session.run, [*batches] * repeats, session.streams, seconds)


def _difference(first: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> tuple[float, int]:
    """Return the PSNR, dB, and the largest difference, levels."""
    difference = np.abs(first.astype(np.float64) - other)
    squared_error = float(np.square(difference).mean())
    psnr_db = 10 * math.log10(255**2 / squared_error) if squared_error else math.inf
    return psnr_db, int(difference.max())


def _name(model: Model, arithmetic: Arithmetic) -> str:
    if arithmetic is Arithmetic.MODEL:
        return model.precision
    return f"int8 and {arithmetic}" if model.precision == "int8" else str(arithmetic)


def comparison_document(
    model: Model, options: BenchOptions, compared: Sequence[Compared]
) -> dict[str, Any]:
    """Return the comparison and what it depends on, as `dptn bench --compare --json` prints it."""
    return {
        "model": str(model.path),
        "model_sha256": model.sha256,
        "dataset": model.spec.dataset,
        "precision": model.precision,
        "processor": processor_name(),
        "abilities": list(processor_abilities()),
        "cores": available_cores(),
        "batch_size": options.batch_size,
        "comparison": [_entry(each) for each in compared],
        "versions": package_versions(),
    }


def _entry(compared: Compared) -> dict[str, Any]:
    entry = {"provider": compared.provider, "arithmetic": compared.arithmetic}
    if compared.problem:
        return entry | {"problem": compared.problem}
    is_equal = math.isinf(compared.psnr_db)  # JSON has no infinity.
    return entry | {
        "images_per_second": round(compared.images_per_second, 3),
        "ratio": round(compared.ratio, 3),
        "psnr_db": None if is_equal else round(compared.psnr_db, 2),
        "largest_levels": compared.largest_levels,
    }
