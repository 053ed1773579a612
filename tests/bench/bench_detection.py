"""How fast the built-in detector is, and whether a long run stays as fast and as small.

    python tests/bench/bench_detection.py IMAGES... [--count 500]

IMAGES are repeated until there are COUNT. For each tenth of the run, it prints images a second,
processor time per image, and the memory of the process.
"""

import argparse
import time
from itertools import cycle, islice
from pathlib import Path

from dptn_cli.detect import MovenetDetector


def memory_mib() -> float:
    """Return the resident memory of this process (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=500)
    options = parser.parse_args()
    detector = MovenetDetector()
    files = ((f"{i}", path) for i, path in enumerate(islice(cycle(options.images), options.count)))
    tenth = max(1, options.count // 10)
    started_s, started_cpu_s, people = time.perf_counter(), time.process_time(), 0
    for number, detection in enumerate(detector.detect(files), start=1):
        people += detection.people
        if number % tenth == 0:
            wall_s = (time.perf_counter() - started_s) / tenth
            cpu_s = (time.process_time() - started_cpu_s) / tenth
            print(
                f"{number:6}  {1 / wall_s:6.2f} images/s  {cpu_s:.3f} s of processor time each  "
                f"{memory_mib():6.0f} MiB  {people} people"
            )
            started_s, started_cpu_s, people = time.perf_counter(), time.process_time(), 0


if __name__ == "__main__":
    main()
