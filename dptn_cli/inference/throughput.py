"""How fast this machine is at one part of the work: inference, decoding or encoding."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import ImageFormat
from dptn_cli.io.images import PUBLISHED_JPEG_QUALITY, decode_crop, encode_image
from dptn_cli.io.resize import resize_to_disk
from dptn_cli.types import JOINTS, Batch, ImageSpec

RunBatch: TypeAlias = Callable[[Batch], npt.NDArray[np.uint8]]
"""Generates the images of a batch; `Session.run`."""


def example_batch(spec: ImageSpec, sources: int, targets: int) -> Batch:
    """Create a batch of random blocky images and random poses, the same at every call.

    Args:
        spec: sizes of the images.
        sources: number of source images.
        targets: number of target poses; target `i` belongs to source `i % sources`.
    """
    random = np.random.default_rng(0)
    height, width = spec.network_size
    blocks = random.integers(0, 256, (sources, 8, 8, 3), dtype=np.uint8)
    block = np.ones((1, -(-height // 8), -(-width // 8), 1), np.uint8)
    images = np.ascontiguousarray(np.kron(blocks, block)[:, :height, :width])

    def poses(count: int) -> npt.NDArray[np.float32]:
        pixels = random.random((count, JOINTS, 2)) * spec.network_size
        float_pixels: npt.NDArray[np.float32] = pixels.astype(np.float32)
        return float_pixels

    index = np.arange(targets, dtype=np.int64) % sources
    return Batch(images, poses(sources), poses(targets), index)


def images_per_second(work: Callable[[], int], seconds: float) -> float:
    """Repeat some work and return its rate. A first call, which is not timed, warms up.

    Args:
        work: processes some images and returns their number.
        seconds: minimum duration of the measurement; 0 measures one call.
    """
    work()
    images, started_s = 0, time.perf_counter()
    while True:
        images += work()
        elapsed_s = time.perf_counter() - started_s
        if elapsed_s >= seconds:
            return images / elapsed_s


def inference_rate(
    run_batch: RunBatch, batches: Sequence[Batch], streams: int, seconds: float
) -> float:
    """Return the images per second of inference alone, with `streams` batches at once."""
    with ThreadPoolExecutor(streams) as pool:
        return images_per_second(lambda: sum(map(len, pool.map(run_batch, batches))), seconds)


def inference_time_s(run_batch: RunBatch, batches: Sequence[Batch], streams: int) -> float:
    """Return the seconds that one pass over some batches takes, with `streams` at once."""
    started_s = time.perf_counter()
    with ThreadPoolExecutor(streams) as pool:
        list(pool.map(run_batch, batches))
    return time.perf_counter() - started_s


def decoding_rate(paths: Sequence[Path], spec: ImageSpec, seconds: float) -> float:
    """Return the images per second that one thread reads, decodes and resizes for the network."""

    def decode() -> int:
        for path in paths:
            decode_crop(path.read_bytes(), None, spec.network_size)
        return len(paths)

    return images_per_second(decode, seconds)


def encoding_rate(paths: Sequence[Path], spec: ImageSpec, seconds: float) -> float:
    """Return the images per second that one thread resizes for the disk and encodes as PNG."""
    images = [decode_crop(path.read_bytes(), None, spec.network_size) for path in paths]

    def encode() -> int:
        for image in images:
            fitted = resize_to_disk(image, spec.image_size)
            encode_image(fitted, ImageFormat.PNG, PUBLISHED_JPEG_QUALITY)
        return len(images)

    return images_per_second(encode, seconds)
