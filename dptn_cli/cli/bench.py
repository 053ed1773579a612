"""`dptn bench`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dptn_cli.bench.compare import compare_providers, comparison_document
from dptn_cli.bench.measure import BenchOptions, json_document, run_bench
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
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Compare all providers and arithmetics that work here on the same batches.",
            rich_help_panel=SPEED,
        ),
    ] = False,
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
    try_model(exported, provider)
    silent = quiet or as_json
    if pairs is None and (EXAMPLES / "pairs.csv").is_file():
        pairs, images = EXAMPLES / "pairs.csv", EXAMPLES / "images"
    request = (
        TransferRequest(Path(), pairs, images, keypoints=tuple(keypoints or ())) if pairs else None
    )
    options = BenchOptions(batch_size, workers or default_workers(), seconds)

    def report_step(step: str) -> None:
        echo(f"measuring: {step}", quiet=silent)

    if compare:
        compared = compare_providers(exported, request, options, report_step)
        document = comparison_document(exported, options, compared)
    else:
        session = Session(exported, provider)
        if note := session.note():
            echo(note, quiet=silent)
        result = run_bench(session, request, options, report_step)
        document = json_document(session, options, result)
    if out is not None:
        content = (json.dumps(document, indent=2) + "\n").encode()
        write_file(out, lambda file: file.write(content))
    if as_json:
        print_json(document)
    rows = _comparison_rows(document) if compare else _rows(document)
    print_table(rows, quiet=silent)
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


def _comparison_rows(document: dict[str, Any]) -> dict[str, str]:
    abilities = ", ".join(document["abilities"])
    rows = {
        "model": f"{document['model']} ({document['dataset']}, {document['precision']})",
        "processor": f"{document['processor']}, {document['cores']} cores: {abilities}",
    }
    for entry in document["comparison"]:
        name = f"{entry['provider']}, {entry['arithmetic']}"
        if "problem" in entry:
            rows[name] = entry["problem"]
            continue
        images = "equal images"
        if entry["psnr_db"] is not None:
            images = f"{entry['psnr_db']:.1f} dB, up to {entry['largest_levels']} of 255 levels"
        rows[name] = f"{entry['images_per_second']:.2f} images/s, {entry['ratio']:.2f}x; {images}"
    return rows
