"""Render a data set for pose transfer: clothed people in the round, each in several poses.

Writes the published layout: train and test images, keypoints and pairs. The same seed gives the
same people. A set that was interrupted continues where it stopped.

It needs a folder of MakeHuman's assets (see README.md) and

    pip install anny==0.6.2 torch numba numpy pillow

Example:
    python make_people.py people --assets ASSETS --train-people 2500 --test-people 100
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

# isort: split
from people_assets import DIGEST, AssetError, digest
from people_layout import Row, Settings, read_log, write_keypoints, write_pairs

if TYPE_CHECKING:  # It needs torch, anny and numba, which take seconds to load.
    from people_photos import Studio

FIRST_NUMBERS = {"train": 0, "test": 50_000}
"""The number of a part's first person: more people for training do not become those for testing."""
LIBRARIES = ("anny", "numba", "torch")
_studio: Studio | None = None


def _open_studio(settings: Settings) -> None:
    """Load the bodies; once in each process."""
    global _studio
    from people_photos import Studio

    _studio = Studio(settings)


def _render(task: tuple[int, Path]) -> tuple[int, list[Row]]:
    assert _studio is not None
    number, folder = task
    return number, _studio.render_person(number, folder)


def make(out: Path, people: Sequence[int], settings: Settings, pairs: int, workers: int) -> None:
    """Render a set in the published layout.

    Args:
        out: folder to write into.
        people: number of people for training and for testing, at most 50,000 each.
        settings: what the images depend on.
        pairs: pairs of each person, chosen at random; 0 for all.
        workers: number of processes that render.
    """
    for (part, first), count in zip(FIRST_NUMBERS.items(), people, strict=True):
        (out / part).mkdir(parents=True, exist_ok=True)
        log = out / f"{part}.jsonl"
        done = read_log(log)
        numbers = range(first, first + count)
        tasks = [(number, out / part) for number in numbers if number not in done]
        with log.open("a", encoding="utf-8") as file:
            for number, rows in _rendered(tasks, settings, workers):
                done[number] = rows
                file.write(json.dumps([number, rows]) + "\n")
                file.flush()
                print(f"{part}: {len(done):,} of {count:,} people", flush=True)
        ordered = [done[number] for number in numbers]
        write_keypoints(out / f"fasion-resize-annotation-{part}.csv", ordered)
        write_pairs(out / f"fasion-resize-pairs-{part}.csv", ordered, pairs, settings.seed)


def _rendered(
    tasks: list[tuple[int, Path]], settings: Settings, workers: int
) -> Iterable[tuple[int, list[Row]]]:
    if workers <= 1 or len(tasks) < 2:
        if tasks:
            _open_studio(settings)
        yield from map(_render, tasks)
        return
    with ProcessPoolExecutor(workers, initializer=_open_studio, initargs=(settings,)) as pool:
        yield from pool.map(_render, tasks)


def check_settings(out: Path, settings: Settings) -> None:
    """Check that a folder's earlier images were made with the same settings, and record these."""
    path = out / "settings.json"
    wanted = {"seed": settings.seed, "size": list(settings.size)}
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != wanted:
            raise SystemExit(f"error: {out} was made with {found}, not {wanted}: choose another")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(wanted) + "\n", encoding="utf-8")


def parse_count(text: str) -> int:
    """Parse a number of people."""
    count = int(text)
    if not 0 <= count <= FIRST_NUMBERS["test"]:
        raise argparse.ArgumentTypeError(f"from 0 to {FIRST_NUMBERS['test']:,}")
    return count


def parse_size(text: str) -> tuple[int, int]:
    """Parse `HEIGHTxWIDTH`."""
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not HEIGHTxWIDTH: {text!r}") from None
    if min(height, width) < 32:
        raise argparse.ArgumentTypeError(f"too small for a person: {text!r}")
    return height, width


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description="Render a data set of people for pose transfer.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("out", type=Path, help="folder to write into")
    add("--assets", type=Path, required=True, help="folder of MakeHuman's assets; see README.md")
    add("--train-people", type=parse_count, default=2500, help="people for training")
    add("--test-people", type=parse_count, default=100, help="other people for testing")
    add("--size", type=parse_size, default=(256, 176), help="height x width, as in 256x176")
    add("--pairs", type=int, default=0, help="pairs of each person; 0: all 56")
    add("--seed", type=int, default=0, help="the same seed gives the same people")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes that render")
    options = parser.parse_args(arguments)
    if missing := [name for name in LIBRARIES if find_spec(name) is None]:
        raise SystemExit(f"error: {', '.join(missing)} missing: pip install {' '.join(missing)}")
    try:
        if digest(options.assets) != DIGEST:
            print(f"warning: {options.assets}: not the files that the published set was made with",
                  file=sys.stderr)  # fmt: skip
    except AssetError as error:
        raise SystemExit(f"error: {error}") from None
    settings = Settings(options.assets, options.seed, options.size)
    check_settings(options.out, settings)
    make(options.out, (options.train_people, options.test_people), settings, options.pairs,
         options.workers)  # fmt: skip


if __name__ == "__main__":
    main()
