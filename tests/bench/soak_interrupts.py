"""Check that a long run of tiny pairs is complete after it was killed and restarted several times.

    python tests/bench/soak_interrupts.py [--pairs 20000] [--stops TERM,KILL,KILL]

The model is the tests' tiny one. Each run of `dptn transfer` but the last gets a signal when it has
done another part of the list. In the end, every image must exist, be readable and have exactly
one line in the manifest. Images that were done before a stop must not have been generated again,
and no temporary file may be left.
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
    """Write a list of `pairs` pairs of six images."""
    export(LoadedGenerator(tiny_generator(), TINY_SPEC, "0" * 64), TINY_SPEC, folder / "t.onnx")
    job = make_folder(folder / "photos", folder / "t.onnx", count=6)
    rows = ((f"{i % 6}.png", f"{(i + 1) % 6}.png", f"{i:06}.png") for i in range(pairs))
    write_pairs(job.pairs, rows, header="from,to,out")
    return job


def start(job: Folder) -> "subprocess.Popen[bytes]":
    """Position `dptn transfer` in a process of its own, with 1,000 results per folder."""
    command = [sys.executable, "-m", "dptn_cli", "transfer", "-q", "--pairs", job.pairs]
    command += ["--model", job.model, "-o", job.out, "--shard", 1000, "--batch-size", 32]
    return subprocess.Popen([str(part) for part in command])


def count_lines(job: Folder) -> int:
    """Count the complete lines in the manifest."""
    path = job.out / "manifest.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def stop_at(job: Folder, count: int, stop_signal: signal.Signals) -> dict[str, int]:
    """Position a run and send it a signal once the manifest has `count` lines.

    Returns:
        The modification time in nanoseconds of each output that the manifest lists.
    """
    process = start(job)
    while count_lines(job) < count:
        assert process.poll() is None, "ended before it could be stopped"
        time.sleep(0.05)
    process.send_signal(stop_signal)
    code = process.wait()
    manifest = (job.out / "manifest.jsonl").read_bytes()
    outputs = [json.loads(line)["output"] for line in manifest.split(b"\n")[:-1]]
    print(
        f"{stop_signal.name} at {count:,} lines: exit code {code}, {len(outputs):,} listed",
        flush=True,
    )
    return {name: (job.out / name).stat().st_mtime_ns for name in outputs}


def check(job: Folder, pairs: int, written_ns: dict[str, int]) -> None:
    """Check the finished run.

    Args:
        job: the folders of the run.
        pairs: number of images that must exist.
        written_ns: modification times of the outputs that the last stopped run had listed.
    """
    line_counts = Counter(line["output"] for line in job.manifest())
    paths = images(job.out)
    assert len(paths) == len(line_counts) == pairs, (len(paths), len(line_counts))
    assert {line["status"] for line in job.manifest()} == {"done"}
    assert set(line_counts.values()) == {1}, "one line per image"
    for path in paths:
        Image.open(path).load()
    for name, modified_ns in written_ns.items():
        assert (job.out / name).stat().st_mtime_ns == modified_ns
    temporary = [path for path in job.out.rglob("*") if path.name.startswith(".")]
    assert not temporary, temporary
    folder_sizes = Counter(path.parent.name for path in paths)
    assert max(folder_sizes.values()) <= 1000
    print(f"complete: {pairs:,} images in {len(folder_sizes)} subfolders")


def main() -> None:
    """Run, stop and resume, then check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--stops", default="TERM,KILL,KILL")
    options = parser.parse_args()
    stops = [signal.Signals[f"SIG{name}"] for name in options.stops.split(",")]
    with tempfile.TemporaryDirectory() as name:
        job = make_job(Path(name), options.pairs)
        written_ns: dict[str, int] = {}
        for index, stop_signal in enumerate(stops, start=1):
            count = options.pairs * index // (len(stops) + 1)
            written_ns = stop_at(job, count, stop_signal)
        assert start(job).wait() == 0
        check(job, options.pairs, written_ns)


if __name__ == "__main__":
    main()
