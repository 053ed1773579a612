"""The pixel metrics of many pairs, on all cores, in the pairs' order, a bounded number at once."""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TypeAlias

from dptn_cli.enums import Protocol
from dptn_cli.errors import InputError
from dptn_cli.evaluate.types import ImagePair, Problem
from dptn_cli.io.images import read_image
from dptn_cli.metrics.pairwise import PairScores, score_pixels
from dptn_cli.types import ImageU8

CHUNK = 16
# Starting a worker costs about as much as scoring this many pairs.
PAIRS_WORTH_A_WORKER = 48

Scored: TypeAlias = PairScores | Problem


@dataclass(frozen=True)
class Rules:
    """What a worker needs to know beside the pair."""

    protocols: tuple[Protocol, ...]
    dataset: str | None


def default_workers() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_pair(pair: ImagePair) -> tuple[ImageU8, ImageU8]:
    """The generated image and the true one.

    Raises:
        InputError: one of them cannot be read, or their sizes differ.
    """
    generated, truth = read_image(pair.generated), read_image(pair.truth)
    if generated.shape != truth.shape:
        (height, width), (true_height, true_width) = generated.shape[:2], truth.shape[:2]
        raise InputError(
            f"the generated image is {height}x{width}, the true one {true_height}x{true_width}"
        )
    return generated, truth


def score_pair(pair: ImagePair, rules: Rules) -> Scored:
    """The pixel metrics of one pair, or why it has none."""
    try:
        generated, truth = read_pair(pair)
    except InputError as error:
        return Problem(pair.name, str(error))
    return score_pixels(generated, truth, rules.protocols, rules.dataset)


def score_pairs(pairs: Sequence[ImagePair], rules: Rules, workers: int) -> Iterator[Scored]:
    """Score the pairs, in their order.

    Args:
        pairs: what to score.
        rules: how.
        workers: most processes; few pairs are scored in this one.

    Raises:
        InputError: a worker process was killed, as for want of memory.
    """
    workers = min(workers, len(pairs) // PAIRS_WORTH_A_WORKER)
    if workers < 2:
        _keep_freed_memory()
        for pair in pairs:
            yield score_pair(pair, rules)
        return
    try:
        yield from _in_processes(pairs, rules, workers)
    except BrokenProcessPool as error:
        raise InputError("a worker process was killed; try again with fewer --workers") from error


def _in_processes(pairs: Sequence[ImagePair], rules: Rules, workers: int) -> Iterator[Scored]:
    # Spawned, not forked: a fork of a process that runs threads (torch's) may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare_worker)
    waiting: deque[Future[list[Scored]]] = deque()
    try:
        for start in range(0, len(pairs), CHUNK):
            waiting.append(pool.submit(_score_chunk, pairs[start : start + CHUNK], rules))
            if len(waiting) >= 3 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _score_chunk(chunk: Sequence[ImagePair], rules: Rules) -> list[Scored]:
    return [score_pair(pair, rules) for pair in chunk]


def _prepare_worker() -> None:
    """Leave Ctrl-C to the parent, which ends the workers in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let glibc keep what is freed, up to 256 MB, instead of handing it back each time.

    SSIM frees and allocates arrays of some hundred kilobytes all the time; getting each of them
    from the kernel anew took two thirds of the time at 256x176.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # Another C library than glibc.
            libc = ctypes.CDLL(None)
            libc.mallopt(_TRIM_THRESHOLD, 256 << 20)
            libc.mallopt(_MMAP_THRESHOLD, 32 << 20)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # Of malloc.h.
