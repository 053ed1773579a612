"""Measure the time and memory that checking a long pair list takes.

    python tests/bench/bench_plan.py [--rows 10000000] [--images 20000]

Writes a list of distinct pairs over some images (hard links to one empty file, with keypoints)
and plans it in a separate process. CPU seconds are printed beside wall-clock seconds, because the
machine may be busy with other work.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PLAN = """
import resource, sys, time
from pathlib import Path
from dptn_cli.transfer.plan import TransferRequest, make_job
from dptn_cli.types import ImageSpec, Model

folder = Path(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF)
started_s = time.perf_counter()
model = Model(Path("m.onnx"), "0" * 64, ImageSpec("tiny", (64, 40), (64, 48)), "fp32", {})
job = make_job(TransferRequest(out=folder / "out", pairs=folder / "pairs.csv"), model)
elapsed_s = time.perf_counter() - started_s
after = resource.getrusage(resource.RUSAGE_SELF)
print(f"{job.planned:,} pairs planned in {elapsed_s:.1f} s wall-clock, "
      f"{after.ru_utime - before.ru_utime:.1f} s user and "
      f"{after.ru_stime - before.ru_stime:.1f} s system time; peak memory "
      f"{after.ru_maxrss / 1024:.0f} MB, before {before.ru_maxrss / 1024:.0f} MB")
started_s = time.process_time()
next(job.items())
print(f"first item after {time.process_time() - started_s:.2f} s")
"""


def image_names(images: int) -> list[str]:
    """Return names like those of a data set: one folder per person, one number per view."""
    return [f"id{i // 1000:05}/view_{i:08}.jpg" for i in range(images)]


def rows(count: int, images: list[str]) -> Iterator[str]:
    """Yield distinct pairs, with the sources in order and the targets scattered."""
    for row in range(count):
        source, repeat = row % len(images), row // len(images) + 1
        yield f"{images[source]},{images[(source * 7919 + repeat) % len(images)]}\n"


def make_list(folder: Path, count: int, images: int) -> None:
    """Write the list, the keypoints and the images."""
    names = image_names(images)
    with (folder / "pairs.csv").open("w") as file:
        file.write("from,to\n")
        file.writelines(rows(count, names))
    with (folder / "keypoints.csv").open("w") as file:
        file.write("name:keypoints_y:keypoints_x\n")
        axis = list(range(2, 38, 2))
        file.writelines(f"{name}: {axis}: {axis}\n" for name in names)
    for name in names:
        path = folder / name
        if not path.parent.exists():
            path.parent.mkdir()
            (path.parent / "image").touch()
        os.link(path.parent / "image", path)


def main() -> None:
    """Write the list, then plan it in a new process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--images", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        started_s = time.perf_counter()
        make_list(Path(name), options.rows, options.images)
        print(f"list and images written in {time.perf_counter() - started_s:.0f} s", flush=True)
        subprocess.run([sys.executable, "-c", PLAN, name], check=True)


if __name__ == "__main__":
    main()
