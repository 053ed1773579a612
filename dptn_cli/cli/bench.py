"""`dptn bench`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dptn_cli.cli.console import echo, error_boundary, print_json, print_table
from dptn_cli.cli.options import Json, ProviderOption, Quiet, default_model
from dptn_cli.enums import Provider
from dptn_cli.errors import ExitCode, InputError
from dptn_cli.transfer.run import default_workers

if TYPE_CHECKING:
    from dptn_cli.bench import Bench, Effort
    from dptn_cli.inference.session import Session

EXAMPLES = Path("examples/figures")


app = typer.Typer(add_completion=False)


@app.command()
@error_boundary
def bench(
    model: Annotated[
        Path | None,
        typer.Option(help="ONNX file; default: $DPTN_MODEL, or the only one in ./models."),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Pair list for the pipeline; default: examples/figures, else drawn images."
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the pair list's images; default: its own.")
    ] = None,
    keypoints: Annotated[
        list[Path] | None,
        typer.Option(help="Pose file of the list; keypoints.csv beside it is read by itself."),
    ] = None,
    provider: ProviderOption = Provider.AUTO,
    batch_size: Annotated[
        int, typer.Option(min=1, max=1024, help="Most images at once, in the pipeline.")
    ] = 8,
    workers: Annotated[
        int, typer.Option(min=0, max=256, help="Threads that decode and encode; 0: by the cores.")
    ] = 0,
    seconds: Annotated[float, typer.Option(min=0.0, max=600.0, help="For each measurement.")] = 4.0,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write the JSON document to this file too.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> ExitCode:
    """Measure this machine: inference alone, decoding, encoding, and the whole pipeline."""
    from dptn_cli.bench import Effort, measure_drawn
    from dptn_cli.inference.model_file import read_model
    from dptn_cli.inference.session import Session
    from dptn_cli.transfer.plan import Request, check_output_file

    if out is not None:
        check_output_file(out)
    if (images or keypoints) and not pairs:
        raise InputError("--images and --keypoints go with --pairs")
    session = Session(read_model(model or default_model()), provider)
    silent = quiet or as_json
    if session.fallback:
        echo(f"Running on the CPU: {session.fallback}.", quiet=silent)
    if pairs is None and (EXAMPLES / "pairs.csv").is_file():
        pairs, images = EXAMPLES / "pairs.csv", EXAMPLES / "images"
    request = Request(Path(), pairs, images, keypoints=tuple(keypoints or ())) if pairs else None
    effort = Effort(batch_size, workers or default_workers(os.cpu_count() or 1), seconds)
    found = measure_drawn(
        session, request, effort, lambda what: echo(f"measuring: {what}", quiet=silent)
    )
    document = _document(session, effort, found)
    if out is not None:
        _write(out, document)
    if as_json:
        print_json(document)
    elif not quiet:
        print_table(_rows(document))
    return ExitCode.DONE


def _document(session: "Session", effort: "Effort", found: "Bench") -> dict[str, Any]:
    from dptn_cli.inference.session import available_cores
    from dptn_cli.transfer.run_json import package_versions

    whole = found.whole
    return {
        "model": str(session.model.path),
        "model_sha256": session.model.sha256,
        "dataset": session.model.spec.dataset,
        "precision": session.model.precision,
        "target": session.model.runtime,
        "provider": session.provider,
        "cores": available_cores(),
        "lanes": session.streams,
        "workers": effort.workers,
        "batch_size": effort.batch_size,
        "session_per_second": {
            f"{sources}x{targets}": round(rate, 3)
            for (sources, targets), rate in found.session.items()
        },
        "decoding_per_second": round(found.decoding, 1),
        "encoding_per_second": round(found.encoding, 1),
        "pipeline": {
            "pictures": whole.images,
            "bare_session_per_second": round(whole.bare, 3),
            "per_second": round(whole.pipeline, 3),
            "ratio": round(whole.ratio, 4),
            "waiting": {stage: round(share, 4) for stage, share in whole.waiting.items()},
        },
        "peak_memory_mb": round(found.peak_memory_mb, 1),
        "versions": package_versions(),
    }


def _rows(document: dict[str, Any]) -> dict[str, str]:
    pipeline = document["pipeline"]
    rows = {
        "model": f"{document['model']} ({document['dataset']}, {document['precision']})",
        "run on": f"{document['provider']}, {document['cores']} cores, "
        f"{document['lanes']} inferences at once",
    }
    for shape, rate in document["session_per_second"].items():
        rows[f"session, sources x targets {shape}"] = f"{rate:.2f} images/s"
    rows["decoding, one thread"] = f"{document['decoding_per_second']:.0f} images/s"
    rows["encoding, one thread"] = f"{document['encoding_per_second']:.0f} images/s"
    rows["pipeline"] = f"{pipeline['per_second']:.2f} images/s ({pipeline['pictures']} images)"
    rows["bare session, same batches"] = f"{pipeline['bare_session_per_second']:.2f} images/s"
    rows["pipeline : bare session"] = f"{pipeline['ratio']:.3f}"
    for stage, share in pipeline["waiting"].items():
        rows[f"waiting, {stage}"] = f"{share:.0%} of the time"
    return rows | {"peak memory": f"{document['peak_memory_mb']:.0f} MB"}


def _write(out: Path, document: dict[str, Any]) -> None:
    import json

    from dptn_cli.io.files import write_file

    content = (json.dumps(document, indent=2) + "\n").encode()
    write_file(out, lambda file: file.write(content))
