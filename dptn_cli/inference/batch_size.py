"""`--batch-size auto`: which batch is fastest here, measured once and remembered.

What is remembered depends on the model, the machine, the provider and how often the job's
sources repeat: pairs of few sources gain from larger batches, since a batch does the work for a
source once.
"""

import json
import math
import platform
import time
from collections.abc import Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path

from dptn_cli.errors import ModelError
from dptn_cli.inference.session import Session, available_cores, onnxruntime_version
from dptn_cli.inference.throughput import example_batch, inference_s
from dptn_cli.io.cache import cache_folder
from dptn_cli.io.files import write_atomic
from dptn_cli.types import Job

USUAL = 8
# In the order in which they are preferred.
CANDIDATES = {"cpu": (4, 8, 2, 16), "cuda": (16, 8, 32, 64), "tensorrt": (16, 8, 32, 64)}
BUDGET_S = 5.0
WORTH_IT = 256
"""Images below which a measurement costs more than it can save."""
NOISE = 1.03
"""Rates nearer to each other than this count as the same."""
LOOKED_AT = 256


def best_batch_size(session: Session, job: Job) -> int:
    """The batch size for a job. Never fails: where nothing can be measured, the usual one.

    Args:
        session: open, and otherwise idle.
        job: small jobs are spread over the session's lanes without measuring.
    """
    if job.planned < WORTH_IT:
        return max(1, min(USUAL, math.ceil(job.planned / session.streams)))
    share = _source_share(job)
    file = cache_folder() / "batch-size" / f"{_key(session, share)}.json"
    if kept := _remembered(file):
        return kept
    size = _measured(session, share, CANDIDATES[session.provider])
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, lambda out: out.write(json.dumps({"batch_size": size}).encode()))
    except OSError:
        pass  # It is measured again next time.
    return size


def _source_share(job: Job) -> float:
    """Distinct sources to items, at the job's start, in eighths: 1 for distinct pairs."""
    sources = [item.source_path for item in islice(job.items(), LOOKED_AT)]
    return math.ceil(8 * len(set(sources)) / len(sources)) / 8


def _key(session: Session, share: float) -> str:
    machine = [platform.node(), platform.machine(), platform.processor(), available_cores()]
    session_of = [session.model.sha256, session.provider, session.streams, onnxruntime_version()]
    return sha256(json.dumps([machine, session_of, share]).encode()).hexdigest()[:32]


def _remembered(file: Path) -> int | None:
    try:
        size = json.loads(file.read_text())["batch_size"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return size if type(size) is int and 1 <= size <= 1024 else None


def _measured(session: Session, share: float, candidates: Sequence[int]) -> int:
    """The first candidate that is about as fast as the fastest, of those that the time allows."""
    rates: dict[int, float] = {}
    ends_s = time.monotonic() + BUDGET_S
    for size in (1, *candidates):  # A batch of one warms up, and tells what to expect.
        expected_s = size * session.streams / max(rates.values()) if rates else 0.0
        if time.monotonic() + expected_s > ends_s:
            continue
        batch = example_batch(session.model.spec, max(1, round(size * share)), size)
        try:
            elapsed_s = inference_s(session.run, [batch] * session.streams, session.streams)
        except ModelError:  # Too large for the memory, for instance.
            continue
        rates[size] = size * session.streams / max(elapsed_s, 1e-9)
    rates.pop(1, None)
    enough = max(rates.values(), default=0.0) / NOISE
    return next((size for size in candidates if rates.get(size, -1) >= enough), USUAL)
