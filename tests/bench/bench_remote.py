"""What waiting for every file costs a transfer, with a store that is in memory and slow.

    python tests/bench/bench_remote.py [--wait-ms 30] [--images 12] [--workers 2,8,0]

Each read and each write waits first, as it does for an object store. Every ordered pair of so
many tiny images is made, by the tests' tiny model, with so many threads (0: as many as
`dptn transfer` takes by itself).
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


def make_slow(wait_s: float) -> None:
    """Make every later read and write of memory:// wait."""

    def slowly(call: Any) -> Any:
        def waiting(*more: Any, **named: Any) -> Any:
            time.sleep(wait_s)
            return call(*more, **named)

        return waiting

    for name in ("cat_file", "pipe_file"):
        setattr(MemoryFileSystem, name, slowly(getattr(MemoryFileSystem, name)))


def main() -> None:
    """Print images a second for each number of threads."""
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
        make_slow(options.wait_ms / 1000)
        for workers in options.workers.split(","):
            result = dptn(
                "transfer", "--pairs", "memory://b/photos/pairs.csv", "-o", "memory://b/out",
                "--model", model, "--provider", "cpu", "--batch-size", 4, "--workers", workers,
                "--overwrite", "--json",
            )  # fmt: skip
            run = json.loads(result.stdout)
            print(
                f"{run['workers']:3} threads: {run['pictures_per_second']:6.1f} images a second "
                f"({run['counts']['done']:,} images)",
                flush=True,
            )


if __name__ == "__main__":
    main()
