"""Inference, decoding and encoding alone, then the whole pipeline.

All rates come from the code that does the work in a transfer: `Session.run`, `io.images` and
`transfer.pipeline.run`.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from dptn_cli.enums import Status
from dptn_cli.errors import InputError
from dptn_cli.inference.session import Session
from dptn_cli.inference.throughput import (
    decoding_rate,
    encoding_rate,
    example_batch,
    inference_rate,
)
from dptn_cli.io.images import read_image
from dptn_cli.processor import available_cores
from dptn_cli.transfer.manifest import Manifest
from dptn_cli.transfer.pipeline import run
from dptn_cli.transfer.plan import TransferRequest, make_job
from dptn_cli.transfer.run_json import package_versions
from dptn_cli.transfer.settings import Settings, StageSeconds
from dptn_cli.types import JOINTS, Batch, ImageSpec, Job

BATCH_SHAPES = ((1, 1), (8, 8), (1, 8), (1, 32))  # (sources, targets)
ROUNDS = 3  # odd, so that there is a median round
MAX_SOURCES = 16  # images that are decoded and encoded repeatedly
EXAMPLE_IMAGES = 16


@dataclass(frozen=True)
class BenchOptions:
    """The settings of the pipeline, and the duration of each measurement.

    Attributes:
        batch_size: maximum number of targets in one inference.
        workers: number of threads that decode and encode.
        seconds: minimum duration of each measurement.
    """

    batch_size: int
    workers: int
    seconds: float


@dataclass(frozen=True)
class PipelineResult:
    """The pipeline compared with the bare session on the same batches, in alternating rounds.

    Rates are in images per second. All but `images` are those of the round with the median ratio.

    Attributes:
        images: number of images in each round.
        session_rate: rate of the session alone.
        pipeline_rate: rate of the whole pipeline.
        ratio: `pipeline_rate` divided by `session_rate`.
        waiting: share of the time, 0 to 1, in which a stage's threads were idle, by the name of
            the stage.
    """

    images: int
    session_rate: float
    pipeline_rate: float
    ratio: float
    waiting: dict[str, float]


@dataclass(frozen=True)
class BenchResult:
    """All measurements of one model. Rates are in images per second.

    Attributes:
        session_rates: rate of the session alone, by the batch's (sources, targets).
        decoding_rate: rate of one decoding thread.
        encoding_rate: rate of one encoding thread.
        pipeline: the whole pipeline.
        peak_memory_mb: maximum memory of the process so far, MB; NaN if unknown.
    """

    session_rates: dict[tuple[int, int], float]
    decoding_rate: float
    encoding_rate: float
    pipeline: PipelineResult
    peak_memory_mb: float


def run_bench(
    session: Session,
    request: TransferRequest | None,
    options: BenchOptions,
    report_step: Callable[[str], None],
) -> BenchResult:
    """Measure a model on a pair list. Results go to a temporary folder, which is removed.

    Args:
        session: a session of the model.
        request: the pairs and where their images and poses are; its `out` is ignored. None
            generates a list of random images.
        options: how the pipeline runs, and how long to measure.
        report_step: called with the name of each measurement before it starts.

    Raises:
        InputError: the pair list cannot be used, or an image or a pose is missing.
        ModelError: an inference failed.
    """
    with tempfile.TemporaryDirectory(prefix="dptn-bench-") as name:
        folder = Path(name)
        out = folder / "results"
        out.mkdir()
        request = request or TransferRequest(out, write_example_pairs(folder, session.model.spec))
        job = make_job(replace(request, out=out), session.model)
        check_complete(job, request)
        return _measure(session, job, options, report_step)


def check_complete(job: Job, request: TransferRequest) -> None:
    """Check that no item would fail or need detection, which would distort the comparison."""
    if job.missing_source_count:
        raise InputError(
            f"{request.pairs}: {job.missing_source_count:,} source images are missing, for "
            f"instance {job.missing_sources[0]}: add them, or name their folder with --images"
        )
    if job.missing_pose:
        raise InputError(
            f"{request.pairs}: {len(job.missing_pose):,} images have no keypoints, for instance "
            f"{next(iter(job.missing_pose))}: pass --keypoints; "
            "`dptn detect-poses` writes such a file"
        )


def _measure(
    session: Session, job: Job, options: BenchOptions, report_step: Callable[[str], None]
) -> BenchResult:
    spec, seconds = session.model.spec, options.seconds
    sources = list(dict.fromkeys(item.source_path for item in islice(job.items(), MAX_SOURCES)))
    for path in sources:
        read_image(path)  # A file that is not an image stops the bench before it measures.
    session_rates = {}
    for shape in BATCH_SHAPES:
        report_step("session, {}x{}".format(*shape))
        batches = [example_batch(spec, *shape)] * session.streams
        session_rates[shape] = inference_rate(session.run, batches, session.streams, seconds)
    report_step("decoding and encoding")
    decoding = decoding_rate(sources, spec, seconds / 4)
    encoding = encoding_rate(sources, spec, seconds / 4)
    # As many images as fit into the time, but at least two full batches for every stream.
    min_images = options.batch_size * session.streams * 2
    max_images = max(min_images, int(session_rates[8, 8] * seconds))
    job = replace(job, planned=min(job.planned, max_images))
    report_step(f"pipeline, {job.planned} images")
    pipeline = _measure_pipeline(session, job, options)
    return BenchResult(session_rates, decoding, encoding, pipeline, peak_memory_mb())


class _RecordingSession:
    """A session that keeps the batches it was given."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.batches: list[Batch] = []

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        self.batches.append(batch)
        return self._session.run(batch)


def _measure_pipeline(session: Session, job: Job, options: BenchOptions) -> PipelineResult:
    recording = _RecordingSession(session)
    _run_pipeline(recording, job, options, session.streams)  # also warms up
    rounds = []
    for _ in range(ROUNDS):
        session_rate = inference_rate(session.run, recording.batches, session.streams, seconds=0)
        elapsed_s, stages = _run_pipeline(session, job, options, session.streams)
        pipeline_rate = job.planned / elapsed_s
        waiting = stages.idle_shares(elapsed_s, streams=session.streams, workers=options.workers)
        ratio = pipeline_rate / session_rate
        rounds.append(PipelineResult(job.planned, session_rate, pipeline_rate, ratio, waiting))
    return sorted(rounds, key=lambda result: result.ratio)[ROUNDS // 2]


def _run_pipeline(
    session: Session | _RecordingSession, job: Job, options: BenchOptions, streams: int
) -> tuple[float, StageSeconds]:
    """Run the first `job.planned` items; return the seconds of the run and of its stages."""
    stages = StageSeconds()
    items = job.items
    job = replace(job, items=lambda: islice(items(), job.planned))
    settings = Settings(batch_size=options.batch_size, streams=streams, workers=options.workers)
    started_s = time.perf_counter()
    with Manifest(job.out, job.model.sha256) as manifest:
        for outcome in run(job, session, settings, stages):
            if manifest.append(outcome).status != Status.DONE:
                raise InputError(f"{outcome.source} -> {outcome.target}: {outcome.reason}")
    return time.perf_counter() - started_s, stages


def json_document(session: Session, options: BenchOptions, result: BenchResult) -> dict[str, Any]:
    """Return the measurements and what they depend on, as `dptn bench --json` prints them."""
    model, pipeline = session.model, result.pipeline
    return {
        "model": str(model.path),
        "model_sha256": model.sha256,
        "dataset": model.spec.dataset,
        "precision": model.precision,
        "target": model.runtime,
        "provider": session.provider,
        "cores": available_cores(),
        "lanes": session.streams,
        "workers": options.workers,
        "batch_size": options.batch_size,
        "session_per_second": {
            f"{sources}x{targets}": round(rate, 3)
            for (sources, targets), rate in result.session_rates.items()
        },
        "decoding_per_second": round(result.decoding_rate, 1),
        "encoding_per_second": round(result.encoding_rate, 1),
        "pipeline": {
            "pictures": pipeline.images,
            "bare_session_per_second": round(pipeline.session_rate, 3),
            "per_second": round(pipeline.pipeline_rate, 3),
            "ratio": round(pipeline.ratio, 4),
            "waiting": {stage: round(share, 4) for stage, share in pipeline.waiting.items()},
        },
        "peak_memory_mb": round(result.peak_memory_mb, 1),
        "versions": package_versions(),
    }


def write_example_pairs(folder: Path, spec: ImageSpec, seed: int = 0) -> Path:
    """Write random images, random poses and a pair list into a folder.

    Returns:
        The pair list: every ordered pair of `EXAMPLE_IMAGES` images. Consecutive pairs have
        different sources, as in most lists.
    """
    random = np.random.default_rng(seed)
    height, width = spec.image_size
    names = [f"{index:02}.jpg" for index in range(EXAMPLE_IMAGES)]
    lines = ["name:keypoints_y:keypoints_x"]
    for name in names:
        coarse = Image.fromarray(random.integers(0, 256, (12, 8, 3), dtype=np.uint8))
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(folder / name)
        pose = random.integers(0, spec.image_size, (JOINTS, 2))
        lines.append(f"{name}: {pose[:, 0].tolist()}: {pose[:, 1].tolist()}")
    (folder / "keypoints.csv").write_text("\n".join(lines) + "\n")
    pairs = folder / "pairs.csv"
    rows = [
        f"{name},{names[(index + step) % EXAMPLE_IMAGES]}"
        for step in range(1, EXAMPLE_IMAGES)
        for index, name in enumerate(names)
    ]
    pairs.write_text("\n".join(["from,to", *rows]) + "\n")
    return pairs


def peak_memory_mb() -> float:
    """Return the maximum memory this process has used, MB; NaN if the system does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS reports bytes, Linux KiB.
    return peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024)
