"""How fast this machine does one part of the work alone: inference, decoding, encoding."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import ImageFormat
from dptn_cli.io.images import PUBLISHED_JPEG_QUALITY, decode_image, encode_image
from dptn_cli.io.resize import resize_to_disk, resize_to_network
from dptn_cli.types import JOINTS, Batch, ImageSpec

Run: TypeAlias = Callable[[Batch], npt.NDArray[np.uint8]]
"""`Session.run`."""


def example_batch(spec: ImageSpec, sources: int, targets: int) -> Batch:
    """Coarse random images and poses, seeded; targets take the sources in turn."""
    random = np.random.default_rng(0)
    height, width = spec.network_size
    coarse = random.integers(0, 256, (sources, 8, 8, 3), dtype=np.uint8)
    repeat = np.ones((1, -(-height // 8), -(-width // 8), 1), np.uint8)
    images = np.ascontiguousarray(np.kron(coarse, repeat)[:, :height, :width])

    def poses(count: int) -> npt.NDArray[np.float32]:
        inside = random.random((count, JOINTS, 2)) * spec.network_size
        pixels: npt.NDArray[np.float32] = inside.astype(np.float32)
        return pixels

    index = np.arange(targets, dtype=np.int64) % sources
    return Batch(images, poses(sources), poses(targets), index)


def images_per_second(work: Callable[[], int], seconds: float) -> float:
    """Do work, which tells how many images it did, for so long, and once beforehand."""
    work()
    images, started_s = 0, time.perf_counter()
    while True:
        images += work()
        elapsed_s = time.perf_counter() - started_s
        if elapsed_s >= seconds:
            return images / elapsed_s


def inference_rate(run: Run, batches: Sequence[Batch], streams: int, seconds: float) -> float:
    """Images a second of the bare session, `streams` batches at once."""
    with ThreadPoolExecutor(streams) as pool:
        return images_per_second(lambda: sum(map(len, pool.map(run, batches))), seconds)


def inference_s(run: Run, batches: Sequence[Batch], streams: int) -> float:
    """Seconds in which the bare session does some batches once, `streams` at a time."""
    started_s = time.perf_counter()
    with ThreadPoolExecutor(streams) as pool:
        list(pool.map(run, batches))
    return time.perf_counter() - started_s


def decoding_rate(files: Sequence[Path], spec: ImageSpec, seconds: float) -> float:
    """Images a second that one thread reads, decodes and fits to the network."""

    def decode() -> int:
        for file in files:
            resize_to_network(decode_image(file.read_bytes()), spec.network_size)
        return len(files)

    return images_per_second(decode, seconds)


def encoding_rate(files: Sequence[Path], spec: ImageSpec, seconds: float) -> float:
    """Images a second that one thread fits to the disk's size and encodes as PNG."""
    images = [
        resize_to_network(decode_image(file.read_bytes()), spec.network_size) for file in files
    ]

    def encode() -> int:
        for image in images:
            fitted = resize_to_disk(image, spec.image_size)
            encode_image(fitted, ImageFormat.PNG, PUBLISHED_JPEG_QUALITY)
        return len(images)

    return images_per_second(encode, seconds)
