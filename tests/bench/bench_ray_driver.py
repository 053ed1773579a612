"""Measure the driver's time per item with `--ray`. The driver is one process for the whole cluster.

    python tests/bench/bench_ray_driver.py [--items 40000] [--batch-size 8 64]

The actors of this machine answer at once, without generating an image. The driver's own CPU time
is measured from the first chunk to the last line of the manifest: sending chunks, receiving
outcomes and writing their lines.
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
from dptn_cli.transfer.plan import TransferRequest, make_job
from dptn_cli.transfer.settings import Settings, StageSeconds
from dptn_cli.types import Item, Outcome

EXAMPLES = Path(__file__).parents[2] / "examples/figures"
MODEL = Path(__file__).parents[2] / "models/figures.onnx"


class IdleActor(ray_pool.ChunkActor):
    """An actor that claims to have generated every image."""

    def make(self, items: list[Item]) -> tuple[list[Outcome], StageSeconds]:
        """Return one outcome for each item."""
        outcomes = [
            Outcome(item.output, item.source, item.target, Status.DONE, fingerprint="0" * 64)
            for item in items
        ]
        return outcomes, StageSeconds()


def write_list(path: Path, count: int) -> None:
    """Write a list of `count` pairs of the example images."""
    names = sorted(image.name for image in (EXAMPLES / "images").glob("*.png"))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["from", "to", "out"])
        for i in range(count):
            source, target = names[i // 16 % len(names)], names[i % len(names)]
            writer.writerow([source, target, f"{i}.png"])


def driver_seconds(folder: Path, batch_size: int) -> tuple[float, float]:
    """Return the driver's CPU seconds and wall-clock seconds."""
    pairs, keypoints = folder / "pairs.csv", (EXAMPLES / "keypoints.csv",)
    out = folder / f"out{batch_size}"
    out.mkdir()
    model = read_model(MODEL)
    request = TransferRequest(out=out, pairs=pairs, images=EXAMPLES / "images", keypoints=keypoints)
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
    vars(ray_pool)["ChunkActor"] = IdleActor
    with tempfile.TemporaryDirectory() as name:
        write_list(Path(name) / "pairs.csv", options.items)
        for batch_size in options.batch_size:
            cpu_s, elapsed_s = driver_seconds(Path(name), batch_size)
            print(
                f"batches of {batch_size}: {cpu_s / options.items * 1e6:.0f} us CPU time and "
                f"{elapsed_s / options.items * 1e6:.0f} us wall-clock time per item; "
                f"{options.items / cpu_s:,.0f} items per second of CPU time"
            )


if __name__ == "__main__":
    main()
