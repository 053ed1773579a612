"""A report as JSON, CSV, Markdown and LaTeX."""

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dptn_cli.enums import Protocol
from dptn_cli.errors import user_errors
from dptn_cli.evaluate.types import Comparison, Interval, PairTable, Report
from dptn_cli.io.files import write_file
from dptn_cli.io.own_files import foreign_file
from dptn_cli.io.storage import storage_of
from dptn_cli.metrics.protocols import BY_ID
from dptn_cli.metrics.published import published_score
from dptn_cli.report.html import page
from dptn_cli.report.tables import metric_ids, runs_table

JSON_NAME, CSV_NAME, HTML_NAME = "report.json", "pairs.csv", "report.html"
_START_BYTES = 4096
# How the files of every version begin.
_MARKS = {
    JSON_NAME: re.compile(rb'\s*\{\s*"(?:run": "|runs": \[)'),
    CSV_NAME: re.compile(rb"(?:run,)?generated,truth(?:,|\s|$)"),
    HTML_NAME: re.compile(rb"<!doctype html>.*: dptn evaluate</title>", re.DOTALL),
}
# Those from U+DC80 to U+DCFF are bytes of a file name that are not UTF-8.
_LONE_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def write_report(folder: Path, comparison: Comparison) -> None:
    """Write `report.json`, `pairs.csv` and `report.html`.

    Args:
        folder: where the files are written; it is created if it does not exist.
        comparison: one or more runs.

    Raises:
        InputError: a file cannot be written, or would overwrite a file of others.
    """
    check_report_folder(folder)
    content = json.dumps(document(comparison), indent=2, allow_nan=False) + "\n"
    write_file(folder / JSON_NAME, lambda file: file.write(_encoded(content)))
    write_file(folder / CSV_NAME, lambda file: _write_pairs(file, comparison.reports))
    write_file(folder / HTML_NAME, lambda file: file.write(_encoded(page(comparison))))


def check_report_folder(folder: Path) -> None:
    """Make sure that a report overwrites no file of another tool, such as a pair list `pairs.csv`.

    Raises:
        InputError: a file with the name of one of the report's is not from `dptn evaluate`, or
            cannot be read.
    """
    for name, mark in _MARKS.items():
        path = folder / name
        with user_errors(path):
            try:
                start = storage_of(path).read_bytes(path, _START_BYTES)
            except FileNotFoundError:
                continue
        if start and not mark.match(start):
            raise foreign_file(path, "dptn evaluate", "name another report folder")


def document(comparison: Comparison) -> dict[str, Any]:
    """Return the content of `report.json`: one report, or several reports and their differences."""
    if len(comparison.reports) == 1:
        return _report_document(comparison.reports[0])
    return {
        "runs": [_report_document(report) for report in comparison.reports],
        "baseline": comparison.reports[0].run,
        "differences": [
            {
                "run": difference.run,
                "common_pairs": difference.common,
                "metrics": {
                    metric_id: _interval_document(interval)
                    for metric_id, interval in difference.by_metric.items()
                },
            }
            for difference in comparison.differences
        ],
    }


def _report_document(report: Report) -> dict[str, Any]:
    requested = {*report.scores, *(missing.metric for missing in report.not_computed)}
    published_on = report.published_on
    published = {
        metric_id: published_score(BY_ID[metric_id], published_on) for metric_id in report.scores
    }
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
            if any(BY_ID[metric_id].protocol == protocol for metric_id in requested)
        },
        "intervals": {
            metric_id: _interval_document(interval)
            for metric_id, interval in report.intervals.items()
        },
        "published": {
            metric_id: score for metric_id, score in published.items() if score is not None
        },
        "counts": {
            "pairs": len(report.table.pairs),
            "unpaired": len(report.unpaired),
            "failed": len(report.failed),
            "real": report.reference,
        },
        "n": report.counts,
        "provenance": dict(report.provenance),
        "not_computed": [{"metric": n.metric, "reason": n.reason} for n in report.not_computed],
        "unpaired": [{"name": p.name, "reason": p.reason} for p in report.unpaired],
        "failed": [{"name": p.name, "reason": p.reason} for p in report.failed],
        "notes": list(report.notes),
        "versions": dict(report.versions),
    }


def _interval_document(interval: Interval) -> dict[str, float]:
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def _write_pairs(file: BinaryIO, reports: Sequence[Report]) -> None:
    """Write a row for each pair; with several runs, the first column names the run."""
    text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
    names = metric_ids(reports)
    writer = csv.writer(text, lineterminator="\n")
    several = len(reports) > 1
    writer.writerow([*(["run"] if several else []), "generated", "truth", *names])
    for report in reports:
        for row in _pair_rows(report.table, names):
            writer.writerow([*([report.run] if several else []), *row])
    text.flush()
    text.detach()  # The caller closes the file.


def _pair_rows(table: PairTable, names: Sequence[str]) -> Iterator[list[str]]:
    absent = np.full(len(table.pairs), math.nan)
    columns = [table.values.get(metric_id, absent).tolist() for metric_id in names]
    for index, pair in enumerate(table.pairs):
        scores = (column[index] for column in columns)
        yield [pair.name, str(pair.truth), *("" if math.isnan(x) else repr(x) for x in scores)]


def _encoded(text: str) -> bytes:
    """Encode as UTF-8. Bytes of a file name that are not UTF-8 are written unchanged.

    Other lone surrogates, which the JSON of a manifest may hold, become U+FFFD.
    """
    return _LONE_SURROGATE.sub("\ufffd", text).encode("utf-8", "surrogateescape")


def markdown(reports: Sequence[Report]) -> str:
    """Return a Markdown table with a row for each run."""
    table = runs_table(reports)
    rows = [table.columns, ("---", *("---:" for _ in table.columns[1:]))]
    for row in table.rows:
        label = row.label.replace("|", "\\|")
        rows.append((label, *(cell.text or "n/a" for cell in row.cells)))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def latex(reports: Sequence[Report]) -> str:
    """Return a LaTeX row for each run, below a comment that names the columns."""
    table = runs_table(reports, label=attrgetter("id"))
    lines = [f"% {' & '.join(table.columns)}"]
    for row in table.rows:
        cells = (_tex(row.label), *(cell.text or "--" for cell in row.cells))
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join(lines)


def _tex(text: str) -> str:
    return "".join(_TEX.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)
