"""How fast this machine does one part of the work alone: inference, decoding, encoding."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dptn_cli.images import (
    PUBLISHED_JPEG_QUALITY,
    decode_picture,
    encode_picture,
    fit_to_disk,
    fit_to_network,
)
from dptn_cli.records import JOINTS, Batch, Frame

Run: TypeAlias = Callable[[Batch], npt.NDArray[np.uint8]]
"""`Session.run`."""


def example_batch(frame: Frame, sources: int, targets: int) -> Batch:
    """Coarse random pictures and poses, seeded; targets take the sources in turn."""
    random = np.random.default_rng(0)
    height, width = frame.network_size
    coarse = random.integers(0, 256, (sources, 8, 8, 3), dtype=np.uint8)
    repeat = np.ones((1, -(-height // 8), -(-width // 8), 1), np.uint8)
    pictures = np.ascontiguousarray(np.kron(coarse, repeat)[:, :height, :width])

    def poses(count: int) -> npt.NDArray[np.float32]:
        inside = random.random((count, JOINTS, 2)) * frame.network_size
        pixels: npt.NDArray[np.float32] = inside.astype(np.float32)
        return pixels

    index = np.arange(targets, dtype=np.int64) % sources
    return Batch(pictures, poses(sources), poses(targets), index)


def pictures_per_second(work: Callable[[], int], seconds: float) -> float:
    """Do work, which tells how many pictures it did, for so long, and once beforehand."""
    work()
    pictures, started_s = 0, time.perf_counter()
    while True:
        pictures += work()
        elapsed_s = time.perf_counter() - started_s
        if elapsed_s >= seconds:
            return pictures / elapsed_s


def inference_rate(run: Run, batches: Sequence[Batch], lanes: int, seconds: float) -> float:
    """Pictures a second of the bare session, `lanes` batches at once."""
    with ThreadPoolExecutor(lanes) as pool:
        return pictures_per_second(lambda: sum(map(len, pool.map(run, batches))), seconds)


def inference_s(run: Run, batches: Sequence[Batch], lanes: int) -> float:
    """Seconds in which the bare session does some batches once, `lanes` at a time."""
    started_s = time.perf_counter()
    with ThreadPoolExecutor(lanes) as pool:
        list(pool.map(run, batches))
    return time.perf_counter() - started_s


def decoding_rate(files: Sequence[Path], frame: Frame, seconds: float) -> float:
    """Pictures a second that one thread reads, decodes and fits to the network."""

    def decode() -> int:
        for file in files:
            fit_to_network(decode_picture(file.read_bytes()), frame.network_size)
        return len(files)

    return pictures_per_second(decode, seconds)


def encoding_rate(files: Sequence[Path], frame: Frame, seconds: float) -> float:
    """Pictures a second that one thread fits to the disk's size and encodes as PNG."""
    pictures = [
        fit_to_network(decode_picture(file.read_bytes()), frame.network_size) for file in files
    ]

    def encode() -> int:
        for picture in pictures:
            fitted = fit_to_disk(picture, frame.image_size)
            encode_picture(fitted, "png", PUBLISHED_JPEG_QUALITY)
        return len(pictures)

    return pictures_per_second(encode, seconds)
