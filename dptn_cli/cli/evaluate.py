"""`dptn evaluate`."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dptn_cli.cli.console import ProgressLine, echo, error_boundary, print_json
from dptn_cli.cli.options import Json, Quiet
from dptn_cli.enums import Protocol, ReportFormat
from dptn_cli.errors import ExitCode, InputError, MissingDependency

if TYPE_CHECKING:
    from dptn_cli.evaluate.plan import Plan, Request
    from dptn_cli.evaluate.run import Effort
    from dptn_cli.evaluate.types import Comparison, NotComputed, Problem, Report

MAX_SHOWN = 5


class ProtocolChoice(StrEnum):
    """Whose rules to measure by."""

    PAPER = "paper"
    STANDARD = "standard"
    ALL = "all"


class DatasetChoice(StrEnum):
    """The published data sets."""

    FASHION = "fashion"
    MARKET = "market"


app = typer.Typer(add_completion=False)


@app.command()
@error_boundary
def evaluate(
    results: Annotated[
        list[Path], typer.Argument(help="Results folders; several are put side by side.")
    ],
    truth: Annotated[
        Path | None, typer.Option(help="Folder of the true images; default: as run.json says.")
    ] = None,
    real: Annotated[
        Path | None, typer.Option(help="Real images for FID and KID; the paper's: training set.")
    ] = None,
    protocol: Annotated[
        ProtocolChoice, typer.Option(help="The paper's rules, today's standard, or both.")
    ] = ProtocolChoice.ALL,
    dataset: Annotated[
        DatasetChoice | None, typer.Option(help="Of the paper protocol; default: as run.json says.")
    ] = None,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for report.json, pairs.csv, report.html.")
    ] = Path("report"),
    drop_last: Annotated[
        bool, typer.Option(help="Paper's FID: drop what does not fill a batch, as published.")
    ] = False,
    require: Annotated[
        list[str] | None,
        typer.Option(help="A metric that must not be missing, as fid or paper.fid; repeatable."),
    ] = None,
    report_format: Annotated[
        ReportFormat, typer.Option("--format", help="What to print.")
    ] = ReportFormat.TABLE,
    download_weights: Annotated[
        bool, typer.Option(help="Fetch missing weights into torch.hub's cache.")
    ] = False,
    batch_size: Annotated[
        int, typer.Option(min=1, max=1024, help="Images at once in a learned metric.")
    ] = 32,
    workers: Annotated[
        int, typer.Option(min=0, max=256, help="Processes that score pixels; 0: by the cores.")
    ] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> ExitCode:
    """Score results: the paper's numbers by the paper's rules, and today's standard ones.

    Exit code: 0 done, 1 some images could not be scored, 2 nothing could be.
    """
    if as_json and report_format != ReportFormat.TABLE:
        raise InputError("either --json or --format; not both")
    try:
        from dptn_cli.evaluate.pixels import default_workers
        from dptn_cli.evaluate.plan import Request
        from dptn_cli.evaluate.run import Effort
    except ImportError as error:
        package = error.name or "scikit-image"
        raise MissingDependency("dptn evaluate", package, INSTALL) from error

    protocols = tuple(Protocol) if protocol == ProtocolChoice.ALL else (Protocol(protocol.value),)
    requests = [
        Request(
            results=folder,
            truth=truth,
            real=real,
            protocols=protocols,
            dataset=dataset.value if dataset else None,
            drop_last=drop_last,
            require=tuple(require or ()),
        )
        for folder in results
    ]
    show = _Reporter(report_format, as_json=as_json, quiet=quiet)
    if download_weights:
        _download(requests[0], show)
    return _evaluate(requests, Effort(batch_size, workers or default_workers()), out, show)


INSTALL = "pip install 'dptn-cli[metrics]'"


@dataclass(frozen=True)
class _Reporter:
    """What to tell the user; the `Progress` that an evaluation reports to."""

    report_format: ReportFormat
    as_json: bool
    quiet: bool

    @property
    def silent(self) -> bool:
        return self.quiet or self.as_json

    @contextlib.contextmanager
    def stage(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        line = ProgressLine(total, label, quiet=self.silent)
        with line.shown():
            yield lambda items: line.advance(items=items)


def _download(request: "Request", show: _Reporter) -> None:
    from dptn_cli.evaluate.plan import missing_weights
    from dptn_cli.metrics.weights import download

    for weights in missing_weights(request.protocols, sets=request.real is not None):
        echo(f"Fetching {weights.url}", quiet=show.silent)
        download(weights)


def _evaluate(
    requests: Sequence["Request"], effort: "Effort", out: Path, show: _Reporter
) -> ExitCode:
    from dptn_cli.evaluate.compare import compare
    from dptn_cli.evaluate.networks import load_networks
    from dptn_cli.evaluate.plan import make_plan, without
    from dptn_cli.evaluate.run import evaluate
    from dptn_cli.transfer.plan import check_output_folder

    check_output_folder(out)
    plans = [make_plan(request) for request in requests]
    networks = load_networks(metric for plan in plans for metric in plan.metrics)
    plans = [without(plan, networks.broken) for plan in plans]
    names = [str(request.results) for request in requests]
    _tell_not_computed({n: p.not_computed for n, p in zip(names, plans, strict=True)}, show)
    for name, plan in zip(names, plans, strict=True):
        where = f" of {name}" if len(plans) > 1 else ""
        _tell_problems(f"{where} without a partner", plan.pairing.unpaired, show)
    comparison = compare([evaluate(plan, networks, effort=effort, progress=show) for plan in plans])
    _write(comparison, out)
    _print(comparison, show)
    found_out = {
        name: report.not_computed[len(plan.not_computed) :]
        for name, plan, report in zip(names, plans, comparison.reports, strict=True)
    }
    _tell_not_computed(found_out, show)
    for name, report in zip(names, comparison.reports, strict=True):
        where = f" of {name}" if len(plans) > 1 else ""
        _tell_problems(f"{where} could not be scored", report.failed, show)
    echo(f"{out}: report.html, report.json, pairs.csv", quiet=show.silent)
    return _exit_code(plans, comparison.reports)


def _tell_not_computed(by_run: Mapping[str, Sequence["NotComputed"]], show: _Reporter) -> None:
    """What is missing and why, once for all the runs; the runs by name where it is not all."""
    metrics: dict[str, dict[str, None]] = {}
    runs: dict[str, dict[str, None]] = {}
    for run, not_computed in by_run.items():
        for one in not_computed:
            metrics.setdefault(one.reason, {})[one.metric] = None
            runs.setdefault(one.reason, {})[run] = None
    for reason, named in metrics.items():
        of = f" of {', '.join(runs[reason])}" if len(runs[reason]) < len(by_run) else ""
        echo(f"Not computed{of}: {', '.join(named)}: {reason}", quiet=show.silent)


def _tell_problems(what: str, problems: Sequence["Problem"], show: _Reporter) -> None:
    if problems:
        echo(f"{len(problems):,}{what}:", quiet=show.silent)
        for problem in problems[:MAX_SHOWN]:
            echo(f"  {problem.name}: {problem.reason}", quiet=show.silent)
        if len(problems) > MAX_SHOWN:
            echo(f"  and {len(problems) - MAX_SHOWN:,} more, in report.json", quiet=show.silent)


def _write(comparison: "Comparison", out: Path) -> None:
    from dptn_cli.report.formats import document, write_json, write_pairs
    from dptn_cli.report.html import write_html

    write_json(out, document(comparison))
    write_pairs(out, comparison.reports)
    write_html(out, comparison)


def _print(comparison: "Comparison", show: _Reporter) -> None:
    from dptn_cli.cli.score_tables import show_comparison, show_report
    from dptn_cli.report.formats import document, latex, markdown

    if show.as_json:
        print_json(document(comparison))
    elif show.report_format == ReportFormat.MARKDOWN:
        typer.echo(markdown(comparison.reports))
    elif show.report_format == ReportFormat.LATEX:
        typer.echo(latex(comparison.reports))
    elif comparison.differences:
        show_comparison(comparison)
    else:
        show_report(comparison.reports[0])


def _exit_code(plans: Sequence["Plan"], reports: Sequence["Report"]) -> ExitCode:
    missing = any(
        one.metric in plan.required
        for plan, report in zip(plans, reports, strict=True)
        for one in report.not_computed
    )
    failed = any(report.failed for report in reports)
    return ExitCode.SOME_FAILED if missing or failed else ExitCode.DONE
