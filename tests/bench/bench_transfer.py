"""How near `dptn transfer` comes to the bare session, on the same images, in one run.

    python tests/bench/bench_transfer.py [--model MODEL.onnx] [--pairs 96] [--rounds 3]

Distinct pairs, batch of 8: the bare session is given decoded batches and its images are thrown
away; the pipeline reads, decodes, runs, encodes, writes and keeps its manifest. Rounds alternate,
so that what else the machine does hits both.
"""

import argparse
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "figures"))
from make_figures import main as make_figures

from dptn_cli.enums import Provider
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.io.images import decode_image
from dptn_cli.io.resize import resize_to_network
from dptn_cli.keypoints import Annotations, to_network
from dptn_cli.transfer.manifest import Manifest
from dptn_cli.transfer.pipeline import run
from dptn_cli.transfer.plan import Request, make_job
from dptn_cli.transfer.settings import Settings, StageSeconds
from dptn_cli.types import Batch, Job

BATCH = 8


def batches(job: Job) -> list[Batch]:
    """Every item with a source of its own, as decoded batches."""
    spec = job.model.spec
    items = list(job.items())
    made = []
    for start in range(0, len(items), BATCH):
        chunk = items[start : start + BATCH]
        images = [
            resize_to_network(decode_image(item.source_path.read_bytes()), spec.network_size)
            for item in chunk
        ]
        poses = [
            [to_network(pose, spec.image_size, spec.network_size) for pose in side]
            for side in zip(*((i.source_pose, i.target_pose) for i in chunk), strict=True)
        ]
        made.append(
            Batch(np.stack(images), np.stack(poses[0]), np.stack(poses[1]),
                  np.arange(len(chunk), dtype=np.int64))
        )  # fmt: skip
    return made


def bare_s(session: Session, ready: list[Batch]) -> float:
    """Seconds of inference alone."""
    started_s = time.perf_counter()
    with ThreadPoolExecutor(session.streams) as streams:
        list(streams.map(session.run, ready))
    return time.perf_counter() - started_s


def pipeline_s(session: Session, job: Job) -> tuple[float, StageSeconds]:
    """Seconds of the whole pipeline."""
    stages = StageSeconds()
    job.out.mkdir(parents=True, exist_ok=True)
    started_s = time.perf_counter()
    with Manifest(job.out, job.model.sha256) as manifest:
        for outcome in run(
            job, session, Settings(batch_size=BATCH, streams=session.streams, workers=2), stages
        ):
            assert manifest.append(outcome).status == "done", outcome.reason
    return time.perf_counter() - started_s, stages


def main() -> None:
    """Print seconds and the ratio of each round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("models/figures.onnx"))
    parser.add_argument("--pairs", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    model = read_model(options.model)
    session = Session(model, Provider.CPU)
    size = "x".join(map(str, model.spec.image_size))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_figures([name, "--flat", str(options.pairs), "--images", "1", "--size", size])
        names = sorted(Annotations(folder / "keypoints.csv"))
        rows = [f"{a},{b}" for a, b in zip(names, names[1:] + names[:1], strict=True)]
        (folder / "pairs.csv").write_text("\n".join(["from,to", *rows]) + "\n")
        ratios = []
        for number in range(options.rounds + 1):
            request = Request(folder / f"out{number}", folder / "pairs.csv", folder / "images")
            job = make_job(request, model)
            ready = batches(job)
            bare, (whole, stages) = bare_s(session, ready), pipeline_s(session, job)
            if number:  # the first round warms up
                ratios.append(bare / whole)
                print(
                    f"bare {job.planned / bare:.2f}/s, pipeline {job.planned / whole:.2f}/s, "
                    f"ratio {bare / whole:.3f} (read {stages.read:.2f} s, "
                    f"infer {stages.infer:.2f} s, write {stages.write:.2f} s)"
                )
        print(f"median ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
