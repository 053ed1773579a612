"""`--batch-size auto`: measure which batch size is fastest here, once, and cache the answer.

The answer depends on the model, the machine, the provider and how often a job's sources repeat: a
batch processes each of its sources once, so a job with few sources gains from larger batches.
"""

import json
import math
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path

from dptn_cli.enums import Provider
from dptn_cli.errors import ModelError
from dptn_cli.inference.session import Session, runtime_version
from dptn_cli.inference.throughput import example_batch, inference_time_s
from dptn_cli.io.cache import cache_folder
from dptn_cli.io.files import write_atomic
from dptn_cli.processor import available_cores
from dptn_cli.types import Job

DEFAULT_BATCH_SIZE = 8
# By provider, in order of preference: the first one about as fast as the fastest is chosen.
CANDIDATES = {
    Provider.CPU: (4, 8, 2, 16),
    Provider.OPENVINO: (4, 8, 2, 16),
    Provider.CUDA: (16, 8, 32, 64),
    Provider.TENSORRT: (16, 8, 32, 64),
}
BUDGET_S = 5.0
MIN_IMAGES = 256  # in smaller jobs, measuring costs more time than it saves
RATE_TOLERANCE = 1.03  # rates whose ratio is below this count as equal
SAMPLED_ITEMS = 256  # from the start of the job, to see how often sources repeat


def best_batch_size(session: Session, job: Job) -> int:
    """Return the batch size to use for a job, measuring it if it is not in the cache.

    Args:
        session: an idle session of the job's model.
        job: the job. For fewer than `MIN_IMAGES` items nothing is measured: they are divided among
            the session's streams.

    Returns:
        The batch size; `DEFAULT_BATCH_SIZE` if nothing could be measured.
    """
    if job.planned < MIN_IMAGES:
        return max(1, min(DEFAULT_BATCH_SIZE, math.ceil(job.planned / session.streams)))
    source_share = _source_share(job)
    path = cache_folder() / "batch-size" / f"{_cache_key(session, source_share)}.json"
    if cached := _read_cached(path):
        return cached
    size = _fastest_size(session, source_share, CANDIDATES[session.provider])
    with suppress(OSError):  # Without a cache, the next run measures again.
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, lambda file: file.write(json.dumps({"batch_size": size}).encode()))
    return size


def _source_share(job: Job) -> float:
    """Return distinct sources per item, rounded up to eighths; 1 if no source repeats."""
    sources = [item.source_path for item in islice(job.items(), SAMPLED_ITEMS)]
    return math.ceil(8 * len(set(sources)) / len(sources)) / 8


def _cache_key(session: Session, source_share: float) -> str:
    machine = [platform.node(), platform.machine(), platform.processor(), available_cores()]
    model = [session.model.sha256, session.provider, session.arithmetic, session.streams]
    key = [machine, model, runtime_version(session.provider), source_share]
    return sha256(json.dumps(key).encode()).hexdigest()[:32]


def _read_cached(path: Path) -> int | None:
    try:
        size = json.loads(path.read_text())["batch_size"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return size if type(size) is int and 1 <= size <= 1024 else None


def _fastest_size(session: Session, source_share: float, candidates: Sequence[int]) -> int:
    """Measure the candidates within a time budget; return the first one fast enough."""
    rates: dict[int, float] = {}
    deadline_s = time.monotonic() + BUDGET_S
    for size in (1, *candidates):  # Size 1 warms up, and gives a rate to predict the next from.
        predicted_s = size * session.streams / max(rates.values()) if rates else 0.0
        if time.monotonic() + predicted_s > deadline_s:
            continue
        batch = example_batch(session.model.spec, max(1, round(size * source_share)), size)
        try:
            elapsed_s = inference_time_s(session.run, [batch] * session.streams, session.streams)
        except ModelError:  # The batch may not fit into memory.
            continue
        rates[size] = size * session.streams / max(elapsed_s, 1e-9)
    rates.pop(1, None)
    fast_enough = max(rates.values(), default=0.0) / RATE_TOLERANCE
    return next(
        (size for size in candidates if rates.get(size, -1) >= fast_enough), DEFAULT_BATCH_SIZE
    )
