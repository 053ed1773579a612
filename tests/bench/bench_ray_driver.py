"""What an item costs the driver of `--ray`, which one process has to bear for the whole cluster.

    python tests/bench/bench_ray_driver.py [--items 40000] [--batch-size 8 64]

Two actors on this machine answer at once, without making an image. Counted is the driver's own
processor time from the list to the manifest: planning, giving out chunks, taking outcomes in.
"""

import argparse
import csv
import tempfile
import time
from pathlib import Path

from dptn_cli.distributed import ray_pool
from dptn_cli.distributed.ray_pool import RayPool
from dptn_cli.enums import Provider, Status
from dptn_cli.inference.model_file import read_model
from dptn_cli.transfer.manifest import Manifest
from dptn_cli.transfer.plan import Request, make_job
from dptn_cli.transfer.settings import Settings, StageSeconds
from dptn_cli.types import Item, Outcome

EXAMPLES = Path(__file__).parents[2] / "examples/figures"
MODEL = Path(__file__).parents[2] / "models/figures.onnx"


class IdleMaker(ray_pool.Maker):
    """Answers as if every image were made."""

    def make(self, items: list[Item]) -> tuple[list[Outcome], StageSeconds]:
        """One outcome an item."""
        done = [
            Outcome(one.output, one.source, one.target, Status.DONE, fingerprint="0" * 64)
            for one in items
        ]
        return done, StageSeconds()


def write_list(path: Path, count: int) -> None:
    """That many pairs of the example's images."""
    names = sorted(image.name for image in (EXAMPLES / "images").glob("*.png"))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["from", "to", "out"])
        for i in range(count):
            source, target = names[i // 16 % len(names)], names[i % len(names)]
            writer.writerow([source, target, f"{i}.png"])


def driver_seconds(folder: Path, batch_size: int) -> tuple[float, float]:
    """Of the processor and of the clock."""
    pairs, keypoints = folder / "pairs.csv", (EXAMPLES / "keypoints.csv",)
    out = folder / f"out{batch_size}"
    out.mkdir()
    model = read_model(MODEL)
    request = Request(out=out, pairs=pairs, images=EXAMPLES / "images", keypoints=keypoints)
    job = make_job(request, model)
    with (
        Manifest(out, model.sha256) as manifest,
        RayPool(job, "local", Provider.CPU, overwrite=False) as pool,
    ):
        started = time.process_time(), time.perf_counter()
        for outcome in pool.run(Settings(batch_size=batch_size), StageSeconds()):
            manifest.append(outcome)
        return time.process_time() - started[0], time.perf_counter() - started[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=40_000)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[8, 64])
    options = parser.parse_args()
    vars(ray_pool)["Maker"] = IdleMaker
    with tempfile.TemporaryDirectory() as name:
        write_list(Path(name) / "pairs.csv", options.items)
        for batch_size in options.batch_size:
            of_cpu, of_clock = driver_seconds(Path(name), batch_size)
            print(
                f"batches of {batch_size}: {of_cpu / options.items * 1e6:.0f} us of the processor, "
                f"{of_clock / options.items * 1e6:.0f} us of the clock an item; "
                f"{options.items / of_cpu:,.0f} items a second of the processor's time"
            )


if __name__ == "__main__":
    main()
