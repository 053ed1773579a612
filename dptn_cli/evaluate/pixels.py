"""The pixel metrics of many pairs, on all cores, in the order of the pairs."""

import contextlib
import ctypes
import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TypeAlias

from dptn_cli.enums import Dataset, Protocol
from dptn_cli.errors import InputError
from dptn_cli.evaluate.types import ImagePair, Problem
from dptn_cli.io.images import read_image
from dptn_cli.metrics.pairwise import PairScores, score_pixels
from dptn_cli.types import ImageU8

CHUNK = 16  # pairs sent to a worker at once
# Starting a worker takes about as long as scoring this many pairs.
PAIRS_WORTH_A_WORKER = 48

Scored: TypeAlias = PairScores | Problem


@dataclass(frozen=True)
class Rules:
    """The rules by which every pair is scored.

    Attributes:
        protocols: the protocols whose metrics are computed.
        dataset: selects the canvas of the paper's protocol; None means no canvas.
    """

    protocols: tuple[Protocol, ...]
    dataset: Dataset | None


def read_pair(pair: ImagePair) -> tuple[ImageU8, ImageU8]:
    """Read the generated image and the true one.

    Raises:
        InputError: an image cannot be read, or the sizes differ.
    """
    generated, truth = read_image(pair.generated), read_image(pair.truth)
    if generated.shape != truth.shape:
        (height, width), (true_height, true_width) = generated.shape[:2], truth.shape[:2]
        raise InputError(
            f"the generated image is {height}x{width}, the true one {true_height}x{true_width}"
        )
    return generated, truth


def score_pair(pair: ImagePair, rules: Rules) -> Scored:
    """Compute the pixel metrics of one pair. If it cannot be read, return the reason."""
    try:
        generated, truth = read_pair(pair)
    except InputError as error:
        return Problem(pair.name, str(error))
    return score_pixels(generated, truth, rules.protocols, rules.dataset)


def score_pairs(pairs: Sequence[ImagePair], rules: Rules, workers: int) -> Iterator[Scored]:
    """Score the pairs, in their order, with a bounded number in memory.

    Args:
        pairs: the pairs to score.
        rules: the protocols and the data set.
        workers: maximum number of processes. A few pairs are scored in the calling process.

    Raises:
        InputError: a worker process was killed, for example because memory ran out.
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
    # Spawned, not forked: a fork of a process with threads (torch has some) may hang.
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
    """Ignore Ctrl-C, because the parent handles it and stops the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let glibc keep up to 256 MB of freed memory instead of returning it to the kernel.

    SSIM constantly allocates and frees arrays of a few hundred kilobytes. Getting each of them
    from the kernel took two thirds of the time at 256x176.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # The C library is not glibc.
            libc = ctypes.CDLL(None)
            libc.mallopt(_TRIM_THRESHOLD, 256 << 20)
            libc.mallopt(_MMAP_THRESHOLD, 32 << 20)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
