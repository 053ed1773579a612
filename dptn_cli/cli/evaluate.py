"""`dptn evaluate`."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from dptn_cli.cli.boundary import error_boundary
from dptn_cli.cli.console import echo, log, print_json
from dptn_cli.cli.options import OUTPUT, Json, LogFile, Quiet, batch_size_option, workers_option
from dptn_cli.cli.progress import ProgressLine
from dptn_cli.cli.score_tables import show_comparison, show_report
from dptn_cli.enums import Dataset, ProtocolChoice, ReportFormat, SplitBy
from dptn_cli.errors import ExitCode, InputError
from dptn_cli.evaluate.folders import evaluate_folders
from dptn_cli.evaluate.pairing import Naming
from dptn_cli.evaluate.plan import EvalRequest, Plan
from dptn_cli.evaluate.progress import EvalProgress
from dptn_cli.evaluate.result_names import PRESETS, parse_template
from dptn_cli.evaluate.types import Comparison, EvalOptions, NotComputed, Problem, Report
from dptn_cli.report.formats import (
    check_report_folder,
    document,
    latex,
    markdown,
    write_report,
)
from dptn_cli.transfer.plan import check_output_folder

MAX_PROBLEMS = 5
"""Problems of each kind that are printed; report.json has all of them."""
IMAGES, SCORING, WEIGHTS = "Images", "Scoring", "Learned metrics"


app = typer.Typer(add_completion=False)


@app.command()
@error_boundary
def evaluate(
    results: Annotated[
        list[Path],
        typer.Argument(help="Results folders. The others are compared with the first."),
    ],
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the true images. Default: the one that run.json names.",
            rich_help_panel=IMAGES,
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="PAIRS.csv",
            help="Pair list of the results: from,to and optionally out. Default: the manifest.",
            rich_help_panel=IMAGES,
        ),
    ] = None,
    names: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE",
            help="How results are named, as in '{source}_to_{target}.png', or the name of a "
            f"system: {', '.join(PRESETS)}.",
            rich_help_panel=IMAGES,
        ),
    ] = None,
    all_lists: Annotated[
        bool,
        typer.Option(
            help="Score the results of earlier lists too, not only those of the last run.",
            rich_help_panel=IMAGES,
        ),
    ] = False,
    split_by: Annotated[
        SplitBy | None,
        typer.Option(
            help="Score the results of each model, or of each file format, apart.",
            rich_help_panel=IMAGES,
        ),
    ] = None,
    real: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|FILE",
            help="Reference images for FID and KID, or a .npz with mu and sigma for the standard "
            "FID. The paper used the training set.",
            rich_help_panel=IMAGES,
        ),
    ] = None,
    protocol: Annotated[
        ProtocolChoice,
        typer.Option(help="The paper's rules, today's standard, or both.", rich_help_panel=SCORING),
    ] = ProtocolChoice.ALL,
    dataset: Annotated[
        Dataset | None,
        typer.Option(
            help="Data set of the paper's protocol. Default: the one in run.json.",
            rich_help_panel=SCORING,
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC",
            help="Metric that must be computed, such as fid or paper.fid. May be repeated.",
            rich_help_panel=SCORING,
        ),
    ] = None,
    drop_last: Annotated[
        bool,
        typer.Option(
            help="Leave an incomplete last batch out of the paper's FID, as the official code did.",
            rich_help_panel=WEIGHTS,
        ),
    ] = False,
    download_weights: Annotated[
        bool,
        typer.Option(
            help="Download missing weights into torch.hub's cache.", rich_help_panel=WEIGHTS
        ),
    ] = False,
    batch_size: Annotated[
        int,
        batch_size_option("Images per batch of a learned metric."),
    ] = 32,
    workers: Annotated[
        int,
        workers_option("Processes that score pixels. 0: one per core."),
    ] = 0,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="DIR",
            help="Folder for report.json, pairs.csv and report.html.",
            rich_help_panel=OUTPUT,
        ),
    ] = Path("report"),
    report_format: Annotated[
        ReportFormat,
        typer.Option("--format", help="Format of the scores on stdout.", rich_help_panel=OUTPUT),
    ] = ReportFormat.TABLE,
    as_json: Json = False,
    quiet: Quiet = False,
    log_file: LogFile = None,
) -> ExitCode:
    """Score results by the paper's protocol and by current standard metrics.

    Exit codes: 0 all scored, 1 an image failed or a required metric is
    missing, 2 nothing was scored.
    """
    if as_json and report_format != ReportFormat.TABLE:
        raise InputError("pass either --json or --format, not both")
    requests = [
        EvalRequest(
            results=folder,
            truth=truth,
            reference=real,
            protocols=protocol.protocols,
            dataset=dataset,
            drop_last=drop_last,
            require=tuple(require or ()),
            naming=Naming(pairs, None if names is None else parse_template(names)),
            all_lists=all_lists,
            split_by=split_by,
        )
        for folder in results
    ]
    reporter = _Reporter(quiet=quiet or as_json)
    check_output_folder(out)
    check_report_folder(out)
    comparison = evaluate_folders(
        requests, EvalOptions(batch_size, workers, download_weights), progress=reporter
    )
    write_report(out, comparison)
    _print_scores(comparison, report_format, as_json=as_json)
    reporter.print_problems(comparison.reports)
    echo(f"{out}: report.html, report.json, pairs.csv", quiet=reporter.quiet)
    if not any(report.scores for report in comparison.reports):
        raise InputError("nothing could be scored: see the reasons above, or in report.json")
    return ExitCode.DONE if comparison.is_complete else ExitCode.SOME_FAILED


class _Reporter(EvalProgress):
    """Prints the progress of an evaluation, and what is missing from it, on stderr."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self._runs: list[str] = []
        self._printed: set[tuple[str, NotComputed]] = set()

    def downloading(self, url: str) -> None:
        echo(f"Downloading {url}", quiet=self.quiet)

    def planned(self, plans: Sequence[Plan]) -> None:
        self._runs = [
            f"{plan.request.results} ({plan.request.part[:8]})"
            if plan.request.part
            else str(plan.request.results)
            for plan in plans
        ]
        self._print_not_computed([plan.not_computed for plan in plans])
        self._print_list("unpaired", [plan.pairing.unpaired for plan in plans])

    @contextlib.contextmanager
    def stage(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        line = ProgressLine(total, label, quiet=self.quiet)
        with line.shown():
            yield lambda items: line.advance(items=items)

    def print_problems(self, reports: Sequence[Report]) -> None:
        """Print the metrics that turned out to have no score, and what could not be scored."""
        self._print_not_computed([report.not_computed for report in reports])
        self._print_list("could not be scored", [report.failed for report in reports])

    def _print_not_computed(self, by_run: Sequence[Sequence[NotComputed]]) -> None:
        """Print each reason once, with the runs' names unless it concerns all of them."""
        metrics: dict[str, dict[str, None]] = {}
        runs: dict[str, dict[str, None]] = {}
        for run, not_computed in zip(self._runs, by_run, strict=True):
            for missing in not_computed:
                if (run, missing) not in self._printed:
                    metrics.setdefault(missing.reason, {})[missing.metric] = None
                    runs.setdefault(missing.reason, {})[run] = None
            self._printed.update((run, missing) for missing in not_computed)
        for reason, metric_ids in metrics.items():
            concerns_all = len(runs[reason]) == len(set(self._runs))
            where = "" if concerns_all else f" for {', '.join(runs[reason])}"
            echo(f"Not computed{where}: {', '.join(metric_ids)}: {reason}", quiet=self.quiet)

    def _print_list(self, title: str, by_run: Sequence[Sequence[Problem]]) -> None:
        for run, problems in zip(self._runs, by_run, strict=True):
            if problems:
                where = f"{run}: " if len(self._runs) > 1 else ""
                echo(f"{where}{len(problems):,} {title}:", quiet=self.quiet)
            for problem in problems[:MAX_PROBLEMS]:
                echo(f"  {problem.name}: {problem.reason}", quiet=self.quiet)
            if len(problems) > MAX_PROBLEMS:
                more = len(problems) - MAX_PROBLEMS
                echo(f"  and {more:,} more, in report.json", quiet=self.quiet)


def _print_scores(comparison: Comparison, report_format: ReportFormat, *, as_json: bool) -> None:
    log(markdown(comparison.reports))
    if as_json:
        print_json(document(comparison))
    elif report_format == ReportFormat.MARKDOWN:
        typer.echo(markdown(comparison.reports))
    elif report_format == ReportFormat.LATEX:
        typer.echo(latex(comparison.reports))
    elif comparison.differences:
        show_comparison(comparison)
    else:
        show_report(comparison.reports[0])
