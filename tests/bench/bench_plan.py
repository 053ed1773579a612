"""How long a long pair list takes to check, and in how much memory.

    python tests/bench/bench_plan.py [--rows 10000000] [--images 20000]

Generates a list of distinct pairs over so many images (files that are there, all links to one
image, with keypoints), and plans it in a process of its own. Processor seconds are told beside
the seconds of the clock, since the machine may have other things to do.
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
from dptn_cli.transfer.plan import Request, make_job
from dptn_cli.types import ImageSpec, Model

folder = Path(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF)
clock_s = time.perf_counter()
model = Model(Path("m.onnx"), "0" * 64, Frame("tiny", (64, 40), (64, 48)), "fp32", {})
job = make_job(Request(out=folder / "out", pairs=folder / "pairs.csv"), model)
clock_s = time.perf_counter() - clock_s
after = resource.getrusage(resource.RUSAGE_SELF)
print(f"{job.planned:,} pairs planned: {clock_s:.1f} s by the clock, "
      f"{after.ru_utime - before.ru_utime:.1f} s of user and "
      f"{after.ru_stime - before.ru_stime:.1f} s of system time; peak memory "
      f"{after.ru_maxrss / 1024:.0f} MB, {before.ru_maxrss / 1024:.0f} MB before")
started_s = time.process_time()
next(job.items())
print(f"first item after {time.process_time() - started_s:.2f} s")
"""


def names(images: int) -> list[str]:
    """Names as data sets have them: a folder a person, a number a view."""
    return [f"id{i // 1000:05}/view_{i:08}.jpg" for i in range(images)]


def rows(count: int, images: list[str]) -> Iterator[str]:
    """Distinct pairs, sources in order, targets all over the list."""
    many = len(images)
    for number in range(count):
        source, turn = number % many, number // many + 1
        yield f"{images[source]},{images[(source * 7919 + turn) % many]}\n"


def make_list(folder: Path, count: int, images: int) -> None:
    """Write the list, the keypoints and the images."""
    all_names = names(images)
    with (folder / "pairs.csv").open("w") as file:
        file.write("from,to\n")
        file.writelines(rows(count, all_names))
    with (folder / "keypoints.csv").open("w") as file:
        file.write("name:keypoints_y:keypoints_x\n")
        axis = list(range(2, 38, 2))
        file.writelines(f"{name}: {axis}: {axis}\n" for name in all_names)
    for name in all_names:
        path = folder / name
        if not path.parent.exists():
            path.parent.mkdir()
            (path.parent / "picture").touch()
        os.link(path.parent / "picture", path)


def main() -> None:
    """Print how long it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--images", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        started_s = time.perf_counter()
        make_list(Path(name), options.rows, options.images)
        print(f"list and images made in {time.perf_counter() - started_s:.0f} s", flush=True)
        subprocess.run([sys.executable, "-c", PLAN, name], check=True)


if __name__ == "__main__":
    main()
