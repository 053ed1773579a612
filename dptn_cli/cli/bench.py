"""`dptn bench`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dptn_cli.bench import BenchOptions, json_document, run_bench
from dptn_cli.cli.boundary import error_boundary
from dptn_cli.cli.console import echo, print_json, print_table
from dptn_cli.cli.options import (
    OUTPUT,
    SPEED,
    Json,
    ModelOption,
    ProviderOption,
    Quiet,
    batch_size_option,
    default_model,
    workers_option,
)
from dptn_cli.enums import Provider
from dptn_cli.errors import ExitCode, InputError
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.inference.trial import try_model
from dptn_cli.io.files import write_file
from dptn_cli.transfer.plan import TransferRequest, check_output_file
from dptn_cli.transfer.run import default_workers

EXAMPLES = Path("examples/figures")
INPUT = "Input"


app = typer.Typer(add_completion=False)


@app.command()
@error_boundary
def bench(
    model: ModelOption = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Pair list for the pipeline. Default: examples/figures, else random images.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the pair list's images. Default: the list's folder.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    keypoints: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Pose file for --pairs. A keypoints.csv beside the list is always read.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    provider: ProviderOption = Provider.AUTO,
    batch_size: Annotated[
        int,
        batch_size_option("Maximum images in one inference of the pipeline."),
    ] = 8,
    workers: Annotated[
        int,
        workers_option("Threads that decode and encode. 0: one per core, up to 8."),
    ] = 0,
    seconds: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=600.0,
            metavar="S",
            help="Duration of each measurement.",
            rich_help_panel=SPEED,
        ),
    ] = 4.0,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="Write the JSON document to this file as well.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> ExitCode:
    """Measure this machine: inference, decoding, encoding, and the whole pipeline."""
    if out is not None:
        check_output_file(out)
    if (images or keypoints) and not pairs:
        raise InputError("--images and --keypoints need --pairs")
    exported = read_model(model or default_model())
    try_model(exported)
    session = Session(exported, provider)
    silent = quiet or as_json
    if session.fallback:
        echo(f"Running on the CPU: {session.fallback}.", quiet=silent)
    if pairs is None and (EXAMPLES / "pairs.csv").is_file():
        pairs, images = EXAMPLES / "pairs.csv", EXAMPLES / "images"
    request = (
        TransferRequest(Path(), pairs, images, keypoints=tuple(keypoints or ())) if pairs else None
    )
    options = BenchOptions(batch_size, workers or default_workers(), seconds)
    result = run_bench(
        session, request, options, lambda step: echo(f"measuring: {step}", quiet=silent)
    )
    document = json_document(session, options, result)
    if out is not None:
        content = (json.dumps(document, indent=2) + "\n").encode()
        write_file(out, lambda file: file.write(content))
    if as_json:
        print_json(document)
    print_table(_rows(document), quiet=quiet or as_json)
    return ExitCode.DONE


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
    rows["session alone, same batches"] = f"{pipeline['bare_session_per_second']:.2f} images/s"
    rows["pipeline : session alone"] = f"{pipeline['ratio']:.3f}"
    for stage, share in pipeline["waiting"].items():
        rows[f"idle threads, {stage}"] = f"{share:.0%} of the time"
    return rows | {"peak memory": f"{document['peak_memory_mb']:.0f} MB"}
