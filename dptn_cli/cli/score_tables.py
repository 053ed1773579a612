"""The tables of `dptn evaluate` on the terminal."""

import textwrap
from collections.abc import Sequence

from rich import box
from rich.columns import Columns
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from dptn_cli.cli.console import stdout_console
from dptn_cli.evaluate.types import Comparison, Report
from dptn_cli.report.tables import (
    Cell,
    ScoreTable,
    Style,
    comparison_table,
    difference_tables,
    leaderboard,
    published_datasets,
    score_table,
)

LABEL_WIDTH, SCORE_WIDTH, GAP = 20, 12, 2
"""Characters of a narrow table's columns of labels and of scores, and between columns."""
STYLES: dict[Style, str] = {
    "": "",
    "value": "bold",
    "muted": "dim",
    "better": "green",
    "worse": "red",
}


def show_report(report: Report) -> None:
    """Print the scores of one run beside DPTN's published ones, then the published table."""
    stdout_console.print(_with_title(score_table(report)))
    _show_published([report])


def show_comparison(comparison: Comparison) -> None:
    """Print several runs side by side, their differences, and the published table."""
    reports, width = comparison.reports, stdout_console.width
    runs_per_table = max(1, (width - LABEL_WIDTH - GAP) // (SCORE_WIDTH + GAP) - 1)
    stdout_console.print(_title(comparison_table(reports)))
    for start in range(0, len(reports), runs_per_table):
        table = comparison_table(reports[start : start + runs_per_table])
        drawn = _draw(table)
        unbounded = stdout_console.options.update(width=10_000)
        if stdout_console.measure(drawn, options=unbounded).maximum > width:
            drawn = _draw(table, narrow=True)
        stdout_console.print(drawn)
    for differences in difference_tables(comparison):
        stdout_console.print(_with_title(differences))
    _show_published(comparison.reports)


def _show_published(reports: Sequence[Report]) -> None:
    """Print the published tables of the runs' data sets, and the notes below them.

    Two tables are side by side if there is room.
    """
    tables = [
        _with_title(leaderboard(reports, [dataset])) for dataset in published_datasets(reports)
    ]
    stdout_console.print(Columns(tables, padding=(0, 3)))
    for note in dict.fromkeys(note for report in reports for note in report.notes):
        stdout_console.print(f"[dim]Note: {escape(note)}[/]", highlight=False)


def _with_title(table: ScoreTable) -> Group:
    return Group(_title(table), _draw(table)) if table.rows else Group(_title(table))


def _title(table: ScoreTable) -> Text:
    """Return the title as text above the table: rich would wrap its own at the table's width."""
    return Text(table.title, style="bold")


def _draw(table: ScoreTable, *, narrow: bool = False) -> Table:
    """Draw a table. Labels are folded if the terminal is narrower, numbers are not.

    Args:
        table: the table.
        narrow: fold titles, and break the intervals below scores.
    """
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    labels = max((len(row.label) for row in table.rows), default=0)
    drawn.add_column(table.columns[0], min_width=min(labels, LABEL_WIDTH), overflow="fold")
    for title in table.columns[1:]:
        lines = _folded(title) if narrow else title
        drawn.add_column(Text(lines), justify="right", no_wrap=True)
    range_separator = "..\n" if narrow else ".."
    previous, indent = "", ""
    for row in table.rows:
        if row.kind == "group" or (row.kind == "yours" and previous != "yours"):
            drawn.add_section()
        indent = "  " if row.kind != "group" and (indent or previous == "group") else ""
        previous = row.kind
        label = Text(indent + row.label, style="dim" if row.kind == "missing" else "")
        cells = (_draw_cell(cell, range_separator) for cell in row.cells)
        drawn.add_row(label, *cells, style="bold" if row.kind == "yours" else None)
    return drawn


def _folded(title: str) -> str:
    lines = (textwrap.wrap(line, SCORE_WIDTH) for line in title.split("\n"))
    return "\n".join(line for folded in lines for line in folded)


def _draw_cell(cell: Cell, range_separator: str) -> Text:
    text = Text(cell.text, style=STYLES[cell.style])
    if cell.detail:
        detail = cell.detail.replace("..", range_separator)
        text = Text.assemble(text, "\n", (detail, "dim"))
    return text
