"""Measure how a slow store slows a transfer down, with a simulated store in memory.

    python tests/bench/bench_remote.py [--wait-ms 30] [--images 12] [--workers 2,8,0]

Each read and each write sleeps first, as if it waited for an object store. The tests' tiny model
generates every ordered pair of the images, once for each number of threads in --workers (0: the
default of `dptn transfer`).
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
import fsspec
from fsspec.implementations.memory import MemoryFileSystem
from support import TINY_SPEC, dptn, make_folder, tiny_generator

from dptn_cli.export.onnx import export
from dptn_cli.io.cache import CACHE_VARIABLE
from dptn_cli.network.checkpoint import LoadedGenerator


def slow_down(wait_s: float) -> None:
    """Make every later read and write of memory:// sleep first."""

    def delayed(function: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            time.sleep(wait_s)
            return function(*args, **kwargs)

        return wrapper

    for name in ("cat_file", "pipe_file"):
        setattr(MemoryFileSystem, name, delayed(getattr(MemoryFileSystem, name)))


def main() -> None:
    """Print the images per second for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wait-ms", type=float, default=30.0)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--workers", default="2,8,0")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ[CACHE_VARIABLE] = str(folder / "cache")
        model = folder / "tiny.onnx"
        export(LoadedGenerator(tiny_generator(), TINY_SPEC, "0" * 64), TINY_SPEC, model)
        photos = make_folder(folder / "photos", model, count=options.images)
        fsspec.filesystem("memory").put(str(photos.path), "memory://b/photos", recursive=True)
        slow_down(options.wait_ms / 1000)
        for workers in options.workers.split(","):
            result = dptn(
                "transfer", "--pairs", "memory://b/photos/pairs.csv", "-o", "memory://b/out",
                "--model", model, "--provider", "cpu", "--batch-size", 4, "--workers", workers,
                "--overwrite", "--json",
            )  # fmt: skip
            run = json.loads(result.stdout)
            print(
                f"{run['workers']:3} threads: {run['pictures_per_second']:6.1f} images/s "
                f"({run['counts']['done']:,} images)",
                flush=True,
            )


if __name__ == "__main__":
    main()
