"""A long run of tiny pairs, ended from outside again and again, must end complete.

    python tests/bench/soak_interrupts.py [--pairs 20000] [--stops TERM,KILL,KILL]

The model is the tests' tiny one. Between the starts, `dptn transfer` is sent a signal when a
further part of the list is done. At the end: every image is there and whole, is told once in
the manifest as done, none that was done before a stop was made again, and nothing is left over.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from PIL import Image
from support import TINY_SPEC, Folder, images, make_folder, tiny_generator, write_pairs

from dptn_cli.export.onnx import export
from dptn_cli.network.checkpoint import LoadedGenerator


def make_job(folder: Path, pairs: int) -> Folder:
    """So many pairs of few images, in shards of 1,000."""
    export(LoadedGenerator(tiny_generator(), TINY_SPEC, "0" * 64), TINY_SPEC, folder / "t.onnx")
    job = make_folder(folder / "photos", folder / "t.onnx", count=6)
    rows = ((f"{i % 6}.png", f"{(i + 1) % 6}.png", f"{i:06}.png") for i in range(pairs))
    write_pairs(job.pairs, rows, header="from,to,out")
    return job


def start(job: Folder) -> "subprocess.Popen[bytes]":
    """The command, in a process of its own."""
    command = [sys.executable, "-m", "dptn_cli", "transfer", "-q", "--pairs", job.pairs]
    command += ["--model", job.model, "-o", job.out, "--shard", 1000, "--batch-size", 32]
    return subprocess.Popen([str(part) for part in command])


def lines(job: Folder) -> int:
    """Whole lines in the manifest."""
    path = job.out / "manifest.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def stop_at(job: Folder, count: int, number: signal.Signals) -> dict[str, int]:
    """Start, and stop when so many lines are there; when each image told was written."""
    process = start(job)
    while lines(job) < count:
        assert process.poll() is None, "ended before it could be stopped"
        time.sleep(0.05)
    process.send_signal(number)
    code = process.wait()
    manifest = (job.out / "manifest.jsonl").read_bytes()
    told = [json.loads(line)["output"] for line in manifest.split(b"\n")[:-1]]
    print(f"{number.name} at {count:,} lines: exit {code}, {len(told):,} told", flush=True)
    return {name: (job.out / name).stat().st_mtime_ns for name in told}


def check(job: Folder, pairs: int, kept: dict[str, int]) -> None:
    """What must hold at the end."""
    told = Counter(line["output"] for line in job.manifest())
    found = images(job.out)
    assert len(found) == len(told) == pairs, (len(found), len(told))
    assert {line["status"] for line in job.manifest()} == {"done"}
    assert set(told.values()) == {1}, "one line an image"
    for path in found:
        Image.open(path).load()
    assert all((job.out / name).stat().st_mtime_ns == at for name, at in kept.items())
    left = [path for path in job.out.rglob("*") if path.name.startswith(".")]
    assert not left, left
    sizes = Counter(path.parent.name for path in found)
    assert max(sizes.values()) <= 1000
    print(f"complete: {pairs:,} images in {len(sizes)} subfolders")


def main() -> None:
    """Run, stop, go on, check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--stops", default="TERM,KILL,KILL")
    options = parser.parse_args()
    stops = [signal.Signals[f"SIG{name}"] for name in options.stops.split(",")]
    with tempfile.TemporaryDirectory() as name:
        job = make_job(Path(name), options.pairs)
        kept: dict[str, int] = {}
        for turn, number in enumerate(stops, start=1):
            kept = stop_at(job, options.pairs * turn // (len(stops) + 1), number)
        assert start(job).wait() == 0
        check(job, options.pairs, kept)


if __name__ == "__main__":
    main()
