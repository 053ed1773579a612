"""`dptn pose`."""

import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from dptn_cli.cli.boundary import error_boundary
from dptn_cli.cli.console import echo
from dptn_cli.cli.options import (
    POSES,
    ArithmeticOption,
    FitOption,
    LogFile,
    ModelOption,
    ProviderOption,
    Quiet,
    default_model,
    default_model_note,
    detector_option,
)
from dptn_cli.cli.transfer_report import job_warnings
from dptn_cli.detect.selection import AUTO
from dptn_cli.enums import Arithmetic, Dataset, Fit, Provider
from dptn_cli.errors import ExitCode, InputError, ModelError
from dptn_cli.inference.arithmetic import SettlingSession, settle
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.inference.trial import try_model
from dptn_cli.network.config import IMAGE_SPECS
from dptn_cli.pose_editor.editor import PoseEditor
from dptn_cli.pose_editor.first_poses import find_first_poses
from dptn_cli.pose_editor.server import PoseServer
from dptn_cli.signals import StopRequest
from dptn_cli.transfer.plan import check_output_folder
from dptn_cli.transfer.settings import BatchRunner
from dptn_cli.types import Model

MIN_PORT, MAX_PORT = 1024, 65_535
# Browsers that would take the terminal.
TEXT_BROWSERS = {"elinks", "links", "lynx", "w3m", "www-browser"}

app = typer.Typer(add_completion=False)


@app.command()
@error_boundary
def pose(
    image: Annotated[Path, typer.Argument(help="Image of the person.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Folder for the saved poses.")
    ],
    pose: Annotated[
        Path | None,
        typer.Option(
            "--pose",
            metavar="PATH",
            help="Pose to start from: a pose file or an image. Default: the person's own.",
            rich_help_panel=POSES,
        ),
    ] = None,
    keypoints: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Pose file for the images. Default: keypoints.csv beside them, else detection.",
            rich_help_panel=POSES,
        ),
    ] = None,
    detector: Annotated[
        str, detector_option("Pose detector for images without keypoints", POSES)
    ] = AUTO,
    fit: FitOption = Fit.AUTO,
    model: ModelOption = None,
    provider: ProviderOption = Provider.AUTO,
    arithmetic: ArithmeticOption = Arithmetic.MODEL,
    port: Annotated[
        int, typer.Option(min=0, max=MAX_PORT, metavar="N", help="Port; 0: a free one.")
    ] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    quiet: Quiet = False,
    log_file: LogFile = None,
) -> ExitCode:
    """Draw a pose in the browser, see the person in it, and save it.

    `dptn transfer --poses` takes what you save. The page is served to this machine alone, at the
    address that is printed. Ctrl-C ends it.
    """
    check_output_folder(out)
    if 0 < port < MIN_PORT:
        raise InputError(f"--port {port}: 0 or from {MIN_PORT:,} to {MAX_PORT:,}")
    session, exported, problem = _open_model(
        model, provider, arithmetic, lambda message: echo(message, quiet=quiet)
    )
    if note := problem or default_model_note(model, exported):
        echo(note, quiet=quiet)
    poses = find_first_poses(
        image,
        pose,
        exported,
        keypoints=keypoints or (),
        detector=detector,
        provider=provider,
        notify=lambda message: echo(message, quiet=quiet),
    )
    for warning in job_warnings(poses.job):
        echo(warning, quiet=quiet)
    options = [] if model is None else ["--model", str(model)]
    for file in keypoints or ():
        options += ["--keypoints", str(file)]
    options += [] if detector == AUTO else ["--detector", detector]
    options += [] if fit is Fit.AUTO else ["--fit", str(fit)]
    options += [] if provider is Provider.AUTO else ["--provider", str(provider)]
    options += [] if arithmetic is Arithmetic.MODEL else ["--arithmetic", str(arithmetic)]
    editor = PoseEditor(image, poses.source, exported.spec, session, out, fit, options)
    start = editor.place(poses.given[0].pose) if poses.given else poses.source
    with PoseServer(editor, start, poses.given, problem, port) as server, StopRequest() as stop:
        typer.echo(server.url)
        echo("Ctrl-C ends the page.", quiet=quiet)
        if browser:
            _open_in_browser(server.first_url)
        server.serve_until(lambda: stop.requested)
    echo("The page has ended. Saved poses are kept.", quiet=quiet)
    return ExitCode.DONE


def _open_in_browser(url: str) -> None:
    """Open a page, unless the only browser would take the terminal."""
    try:
        controller = webbrowser.get()
    except webbrowser.Error:
        return
    if Path(getattr(controller, "name", "")).name not in TEXT_BROWSERS:
        controller.open(url)


def _open_model(
    model: Path | None,
    provider: Provider,
    arithmetic: Arithmetic,
    notify: Callable[[str], object],
) -> tuple[BatchRunner | None, Model, str]:
    """Open the model, or say why that fails: without it, poses can be drawn and saved all the same.

    Args:
        model: the ONNX file; None: the default one.
        provider: where it is to run.
        arithmetic: as in `dptn transfer`, but decided by the first image alone.
        notify: receives that decision, and where the model runs if `AUTO` chose.

    Returns:
        The session, or None; the model, or one without a file that has the paper's sizes; and the
        problem, or nothing.
    """
    exported = Model(Path(), "", IMAGE_SPECS[Dataset.FASHION], "fp32", {})
    try:
        exported = read_model(model or default_model())
        try_model(exported, provider)
        session = Session(exported, provider, streams=1)
        if arithmetic is Arithmetic.BF16:
            settle(session, arithmetic, None)  # fails if there is no bf16 here
        if note := session.note(arithmetic):
            notify(note)
        return SettlingSession(session, arithmetic, notify), exported, ""
    except (InputError, ModelError) as error:
        return None, exported, str(error)
