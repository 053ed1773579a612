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
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import parent_process
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

# isort: split
from people_assets import DIGEST, AssetError, digest, load_garments
from people_layout import (
    Row,
    SetError,
    Settings,
    check_settings,
    read_log,
    write_keypoints,
    write_pairs,
)

if TYPE_CHECKING:  # It needs torch, anny and numba, which take seconds to load.
    from people_photos import Studio

FIRST_NUMBERS = {"train": 0, "test": 50_000}
"""The number of a part's first person: more people for training do not become those for testing."""
LIBRARIES = ("anny", "numba", "torch")
MAX_SEED = (1 << 32) - 1
_studio: Studio | None = None


def _open_studio(settings: Settings) -> None:
    """Load the bodies; once in each process."""
    global _studio
    from people_photos import Studio

    _studio = Studio(settings)


def _open_worker(settings: Settings) -> None:
    """Load the bodies in a worker, which ends when the process that started it does.

    Ctrl-C reaches all processes; a worker first finishes its person.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    _open_studio(settings)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


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
        done = read_log(log, out / part)
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
    with ProcessPoolExecutor(workers, initializer=_open_worker, initargs=(settings,)) as pool:
        yield from pool.map(_render, tasks)


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Return a parser of whole numbers in a range."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"not a whole number from {low} to {high}: {text!r}")
        return number

    return parse


def parse_size(text: str) -> tuple[int, int]:
    """Parse `HEIGHTxWIDTH`."""
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not HEIGHTxWIDTH: {text!r}") from None
    if min(height, width) < 32:
        raise argparse.ArgumentTypeError(f"too small for a person: {text!r}")
    return height, width


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(description="Render a data set of people for pose transfer.")
    add = parser.add_argument
    people = whole_number(0, FIRST_NUMBERS["test"])
    add("out", type=Path, help="folder to write into")
    add("--assets", type=Path, required=True, metavar="DIR",
        help="folder of MakeHuman's assets; see README.md")  # fmt: skip
    add("--train-people", type=people, default=2500, metavar="N",
        help="people for training (default: 2500)")  # fmt: skip
    add("--test-people", type=people, default=100, metavar="N",
        help="other people, for testing (default: 100)")  # fmt: skip
    add("--size", type=parse_size, default=(256, 176), metavar="HxW",
        help="height x width of the images (default: 256x176)")  # fmt: skip
    add("--pairs", type=whole_number(0, 56), default=0, metavar="N",
        help="pairs of each person, chosen at random (default: 0, which is all 56)")  # fmt: skip
    add("--seed", type=whole_number(0, MAX_SEED), default=0, metavar="N",
        help="the same seed gives the same people (default: 0)")  # fmt: skip
    add("--workers", type=whole_number(1, 256), default=os.cpu_count() or 1, metavar="N",
        help="processes that render (default: one for each core)")  # fmt: skip
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    options = build_parser().parse_args(arguments)
    if missing := [name for name in LIBRARIES if find_spec(name) is None]:
        raise SystemExit(f"error: {', '.join(missing)} missing: pip install {' '.join(missing)}")
    settings = Settings(options.assets, options.seed, options.size)
    people = (options.train_people, options.test_people)
    try:
        if digest(options.assets) != DIGEST:
            print(f"warning: {options.assets} holds other versions of the assets than this script "
                  "was written with: the people will look different", file=sys.stderr)  # fmt: skip
        load_garments(options.assets)  # Here, because an error of a worker would be a traceback.
        check_settings(options.out, settings)
        make(options.out, people, settings, options.pairs, options.workers)
    except (AssetError, SetError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        print("stopped: run the same command again to continue", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
