"""A report as JSON, CSV, Markdown and LaTeX."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dptn_cli.enums import Protocol
from dptn_cli.errors import InputError
from dptn_cli.evaluate.types import Comparison, Interval, PairTable, Report
from dptn_cli.io.files import make_folder, write_atomic
from dptn_cli.metrics.protocols import BY_ID, METRICS, Metric
from dptn_cli.report.rows import format_score, score_rows

JSON_NAME, CSV_NAME, HTML_NAME = "report.json", "pairs.csv", "report.html"


def report_document(report: Report) -> dict[str, Any]:
    """What `report.json` holds; every number in it is finite."""
    wanted = {metric_id.partition(".")[0] for metric_id in report.scores}
    wanted |= {one.metric.partition(".")[0] for one in report.not_computed}
    return {
        "run": report.run,
        "results": str(report.results),
        "dataset": report.dataset,
        "formats": dict(report.formats),
        "protocols": {
            str(protocol): {
                BY_ID[metric_id].name: value
                for metric_id, value in report.scores.items()
                if BY_ID[metric_id].protocol == protocol
            }
            for protocol in Protocol
            if protocol in wanted
        },
        "intervals": {name: _interval(one) for name, one in report.intervals.items()},
        "published": {
            row.metric.id: row.published for row in score_rows(report) if row.published is not None
        },
        "counts": {
            "pairs": len(report.table.pairs),
            "unpaired": len(report.unpaired),
            "failed": len(report.failed),
            "real": report.real,
        },
        "not_computed": [{"metric": n.metric, "reason": n.reason} for n in report.not_computed],
        "unpaired": [{"name": one.name, "reason": one.reason} for one in report.unpaired],
        "failed": [{"name": one.name, "reason": one.reason} for one in report.failed],
        "notes": list(report.notes),
        "versions": dict(report.versions),
    }


def document(comparison: Comparison) -> dict[str, Any]:
    """What `report.json` holds: the report; of several runs each one's, and the differences."""
    if len(comparison.reports) == 1:
        return report_document(comparison.reports[0])
    return {
        "runs": [report_document(report) for report in comparison.reports],
        "baseline": comparison.reports[0].run,
        "differences": [
            {
                "run": difference.run,
                "common_pairs": difference.common,
                "metrics": {
                    name: _interval(interval) for name, interval in difference.by_metric.items()
                },
            }
            for difference in comparison.differences
        ],
    }


def _interval(interval: Interval) -> dict[str, float]:
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def write_json(folder: Path, document: dict[str, Any]) -> None:
    """Write `report.json`."""
    content = json.dumps(document, indent=2, allow_nan=False) + "\n"
    write_file(folder / JSON_NAME, content)


def write_pairs(folder: Path, reports: Sequence[Report]) -> None:
    """Write `pairs.csv`: a row a pair; for several runs with a first column `run`."""

    def write(file: BinaryIO) -> None:
        text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
        names = list(dict.fromkeys(name for report in reports for name in report.table.values))
        writer = csv.writer(text, lineterminator="\n")
        several = len(reports) > 1
        writer.writerow([*(["run"] if several else []), "generated", "truth", *names])
        for report in reports:
            for row in _pair_rows(report.table, names):
                writer.writerow([*([report.run] if several else []), *row])
        text.flush()
        text.detach()

    _write(folder / CSV_NAME, write)


def _pair_rows(table: PairTable, names: Sequence[str]) -> Iterable[list[str]]:
    absent = np.full(len(table.pairs), math.nan)
    columns = [table.values.get(name, absent).tolist() for name in names]
    for index, pair in enumerate(table.pairs):
        scores = (column[index] for column in columns)
        yield [pair.name, str(pair.truth), *("" if math.isnan(x) else repr(x) for x in scores)]


def write_file(path: Path, content: str) -> None:
    """Write a text file of the report.

    Raises:
        InputError: it cannot be written.
    """
    _write(path, lambda file: file.write(content.encode("utf-8", "surrogateescape")))


def _write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    make_folder(path.parent)
    try:
        write_atomic(path, write)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def markdown(reports: Sequence[Report]) -> str:
    """A Markdown table with a row a run."""
    metrics = _shown(reports)
    titles = [f"{metric.protocol} {metric.name}{_arrow(metric)}" for metric in metrics]
    lines = [
        _pipes("run", *titles),
        _pipes("---", *("---:" for _ in metrics)),
        *(
            _pipes(report.run.replace("|", "\\|"), *(_cell(report, m, "n/a") for m in metrics))
            for report in reports
        ),
    ]
    return "\n".join(lines)


def latex(reports: Sequence[Report]) -> str:
    """A LaTeX row a run, below a comment that names the columns."""
    metrics = _shown(reports)
    lines = ["% run & " + " & ".join(metric.id for metric in metrics)]
    for report in reports:
        cells = (_cell(report, metric, "--") for metric in metrics)
        lines.append(" & ".join([_tex(report.run), *cells]) + r" \\")
    return "\n".join(lines)


def _shown(reports: Sequence[Report]) -> list[Metric]:
    return [metric for metric in METRICS if any(metric.id in r.scores for r in reports)]


def _cell(report: Report, metric: Metric, absent: str) -> str:
    value = report.scores.get(metric.id)
    return absent if value is None else format_score(metric, value)


def _arrow(metric: Metric) -> str:
    return " ↑" if metric.higher_is_better else " ↓"


def _pipes(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def _tex(text: str) -> str:
    return "".join(_TEX.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)
