"""Compare the rate of `dptn transfer` with that of the session alone, on the same images.

    python tests/bench/bench_transfer.py [--model MODEL.onnx] [--provider cpu|openvino]
        [--arithmetic model|bf16] [--pairs 96] [--rounds 3]

Distinct pairs in batches of 8. The session alone gets decoded batches, and its images are
discarded; the pipeline reads, decodes, runs, encodes, writes and keeps its manifest. Rounds
alternate, so that other load on the machine affects both.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "figures"))
from make_figures import main as make_figures

from dptn_cli.enums import Arithmetic, Provider
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.inference.throughput import inference_time_s
from dptn_cli.keypoints import Annotations
from dptn_cli.transfer.manifest import Manifest
from dptn_cli.transfer.pipeline import first_batches, run
from dptn_cli.transfer.plan import TransferRequest, make_job
from dptn_cli.transfer.settings import Settings, StageSeconds
from dptn_cli.types import Job

BATCH_SIZE = 8


def time_pipeline(session: Session, job: Job) -> tuple[float, StageSeconds]:
    """Run the pipeline; return the seconds of the whole run and of its stages."""
    stages = StageSeconds()
    job.out.mkdir(parents=True, exist_ok=True)
    started_s = time.perf_counter()
    with Manifest(job.out, job.model.sha256) as manifest:
        for outcome in run(
            job,
            session,
            Settings(batch_size=BATCH_SIZE, streams=session.streams, workers=2),
            stages,
        ):
            assert manifest.append(outcome).status == "done", outcome.reason
    return time.perf_counter() - started_s, stages


def main() -> None:
    """Print the rates and the ratio of each round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("models/figures.onnx"))
    parser.add_argument("--provider", type=Provider, default=Provider.CPU)
    parser.add_argument("--arithmetic", type=Arithmetic, default=Arithmetic.MODEL)
    parser.add_argument("--pairs", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    model = read_model(options.model)
    session = Session(model, options.provider, arithmetic=options.arithmetic)
    size = "x".join(map(str, model.spec.image_size))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_figures([name, "--flat", str(options.pairs), "--images", "1", "--size", size])
        names = sorted(Annotations(folder / "keypoints.csv"))
        rows = [f"{a},{b}" for a, b in zip(names, names[1:] + names[:1], strict=True)]
        (folder / "pairs.csv").write_text("\n".join(["from,to", *rows]) + "\n")
        ratios = []
        for number in range(options.rounds + 1):
            request = TransferRequest(
                folder / f"out{number}", folder / "pairs.csv", folder / "images"
            )
            job = make_job(request, model)
            batches = list(first_batches(job, BATCH_SIZE, sys.maxsize))
            session_s = inference_time_s(session.run, batches, session.streams)
            pipeline_s, stages = time_pipeline(session, job)
            if number:  # the first round warms up
                ratios.append(session_s / pipeline_s)
                print(
                    f"session {job.planned / session_s:.2f} images/s, "
                    f"pipeline {job.planned / pipeline_s:.2f} images/s, "
                    f"ratio {session_s / pipeline_s:.3f} (read {stages.read:.2f} s, "
                    f"infer {stages.infer:.2f} s, write {stages.write:.2f} s)"
                )
        print(f"median ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
