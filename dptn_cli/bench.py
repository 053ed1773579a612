"""What `dptn bench` measures: the parts alone, then all of them together, in one run.

The numbers come from the code that does the work: `Session.run` and `pipeline.run`.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

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
from dptn_cli.transfer.manifest import Manifest
from dptn_cli.transfer.pipeline import run
from dptn_cli.transfer.plan import Request, make_job
from dptn_cli.transfer.settings import Settings, StageSeconds
from dptn_cli.types import JOINTS, Batch, ImageSpec, Job

SHAPES = ((1, 1), (8, 8), (1, 8), (1, 32))
ROUNDS = 3
MAX_FILES = 16  # decoded and encoded again and again
DRAWN = 16


@dataclass(frozen=True)
class Effort:
    """How the pipeline is run, and how long each part is measured.

    Attributes:
        batch_size: most targets in one inference.
        workers: threads that decode and encode.
        seconds: for each measurement.
    """

    batch_size: int
    workers: int
    seconds: float


@dataclass(frozen=True)
class WholeRun:
    """The pipeline beside the bare session on the same batches, in alternating rounds.

    Attributes:
        images: in each round.
        bare: images a second of the session alone.
        pipeline: of the whole pipeline.
        ratio: pipeline to bare, median of the rounds; the other numbers are of that round.
        waiting: see `StageSeconds.waiting`.
    """

    images: int
    bare: float
    pipeline: float
    ratio: float
    waiting: dict[str, float]


@dataclass(frozen=True)
class Bench:
    """All that was measured; rates in images a second.

    Attributes:
        session: of the bare session, by (sources, targets) of a batch.
        decoding: of one thread.
        encoding: of one thread.
        whole: the pipeline.
        peak_memory_mb: of the process, so far.
    """

    session: dict[tuple[int, int], float]
    decoding: float
    encoding: float
    whole: WholeRun
    peak_memory_mb: float


def measure(
    session: Session, request: Request, effort: Effort, tell: Callable[[str], None]
) -> Bench:
    """Measure one model on one list of pairs.

    Args:
        session: of the model.
        request: the pairs; results go to its folder, which must exist.
        effort: how.
        tell: is told what is being measured.

    Raises:
        InputError: the pairs cannot be used.
        ModelError: an inference failed.
    """
    spec = session.model.spec
    job = make_job(request, session.model)
    _check_complete(job, request)
    files = list(dict.fromkeys(item.source_path for item in islice(job.items(), MAX_FILES)))
    for file in files:
        read_image(file)
    rates = {}
    for shape in SHAPES:
        tell("session, {}x{}".format(*shape))
        batches = [example_batch(spec, *shape)] * session.streams
        rates[shape] = inference_rate(session.run, batches, session.streams, effort.seconds)
    tell("decoding and encoding")
    decoding = decoding_rate(files, spec, effort.seconds / 4)
    encoding = encoding_rate(files, spec, effort.seconds / 4)
    # Whole batches for every lane, and no more of them than the time allows.
    fewest = effort.batch_size * session.streams * 2
    enough = max(fewest, int(rates[8, 8] * effort.seconds))
    job = replace(job, planned=min(job.planned, enough))
    tell(f"pipeline, {job.planned} images")
    whole = _whole_run(session, job, effort)
    return Bench(rates, decoding, encoding, whole, peak_memory_mb())


def _check_complete(job: Job, request: Request) -> None:
    """What `dptn transfer` detects or lets fail alone would leave nothing to compare here."""
    if job.missing_sources:
        raise InputError(
            f"{request.pairs}: {len(job.missing_sources):,} source images are missing, "
            f"{job.missing_sources[0]} for instance: put them there, or name their folder by "
            "--images"
        )
    if job.missing_pose:
        raise InputError(
            f"{request.pairs}: {len(job.missing_pose):,} images have no keypoints, "
            f"{next(iter(job.missing_pose))} for instance: give --keypoints; "
            "dptn detect-poses makes such a file"
        )


class _Recorder:
    """A session that remembers its batches."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.batches: list[Batch] = []

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        self.batches.append(batch)
        return self._session.run(batch)


def _whole_run(session: Session, job: Job, effort: Effort) -> WholeRun:
    recorder = _Recorder(session)
    _pipeline(recorder, job, effort, session.streams)  # warms up
    rounds = []
    for _ in range(ROUNDS):
        bare = inference_rate(session.run, recorder.batches, session.streams, seconds=0)
        elapsed_s, stages = _pipeline(session, job, effort, session.streams)
        rounds.append((bare, elapsed_s, stages))
    # Of the round of the median ratio; the least bare rate times seconds is the best ratio.
    bare, elapsed_s, stages = sorted(rounds, key=lambda one: one[0] * one[1])[ROUNDS // 2]
    pipeline = job.planned / elapsed_s
    waiting = stages.idle_shares(elapsed_s, streams=session.streams, workers=effort.workers)
    return WholeRun(job.planned, bare, pipeline, pipeline / bare, waiting)


def _pipeline(
    session: Session | _Recorder, job: Job, effort: Effort, streams: int
) -> tuple[float, StageSeconds]:
    stages = StageSeconds()
    items = job.items
    job = replace(job, items=lambda: islice(items(), job.planned))
    settings = Settings(batch_size=effort.batch_size, streams=streams, workers=effort.workers)
    started_s = time.perf_counter()
    with Manifest(job.out, job.model.sha256) as manifest:
        for outcome in run(job, session, settings, stages):
            if manifest.append(outcome).status != Status.DONE:
                raise InputError(f"{outcome.source} -> {outcome.target}: {outcome.reason}")
    return time.perf_counter() - started_s, stages


def draw_pairs(folder: Path, spec: ImageSpec, seed: int = 0) -> Path:
    """Make a pair list with images and poses of random blots, for want of others.

    Returns:
        The list; every ordered pair of `DRAWN` images, those of one source not together.
    """
    random = np.random.default_rng(seed)
    height, width = spec.image_size
    names = [f"{index:02}.jpg" for index in range(DRAWN)]
    lines = ["name:keypoints_y:keypoints_x"]
    for name in names:
        coarse = Image.fromarray(random.integers(0, 256, (12, 8, 3), dtype=np.uint8))
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(folder / name)
        pose = random.integers(0, spec.image_size, (JOINTS, 2))
        lines.append(f"{name}: {pose[:, 0].tolist()}: {pose[:, 1].tolist()}")
    (folder / "keypoints.csv").write_text("\n".join(lines) + "\n")
    pairs = folder / "pairs.csv"
    rows = [
        f"{name},{names[(index + step) % DRAWN]}"
        for step in range(1, DRAWN)
        for index, name in enumerate(names)
    ]
    pairs.write_text("\n".join(["from,to", *rows]) + "\n")
    return pairs


def measure_drawn(
    session: Session, request: Request | None, effort: Effort, tell: Callable[[str], None]
) -> Bench:
    """`measure` in a temporary folder, on a pair list or, without one, on drawn images."""
    with tempfile.TemporaryDirectory(prefix="dptn-bench-") as name:
        folder = Path(name)
        out = folder / "results"
        out.mkdir()
        request = request or Request(out, draw_pairs(folder, session.model.spec))
        return measure(session, replace(request, out=out), effort, tell)


def peak_memory_mb() -> float:
    """Most memory that this process has held, MB; NaN where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (1e6 if sys.platform == "darwin" else 1e6 / 1024)
