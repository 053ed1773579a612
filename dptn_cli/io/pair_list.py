"""Pair lists: CSV files with the columns `from` and `to`, and optionally `out`."""

import csv
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from dptn_cli.errors import InputError
from dptn_cli.io.paths import checked_name
from dptn_cli.io.text_lines import check_encoding, numbered_lines
from dptn_cli.types import Pair

MAX_CELL_LINES = 64  # that a quoted cell may have
MAX_PROBLEMS = 1000  # before reading stops
CACHED_NAMES = 1 << 16  # lists name the same images again
DELIMITERS = (",", ";", "\t")


def read_pairs(path: Path) -> Iterator[Pair]:
    """Read a pair list row by row, without holding it in memory.

    See `read_numbered_pairs`; images are named relative to any folder.

    Yields:
        One pair for each row that is not blank.
    """
    return (pair for _, pair in read_numbered_pairs(path))


def read_numbered_pairs(
    path: Path,
    image_name: Callable[[str], str] = checked_name,
    limit: int | None = None,
    on_bad_row: Callable[[int, str, str], object] | None = None,
) -> Iterator[tuple[int, Pair]]:
    """Read a pair list row by row, without holding it in memory.

    The file may be UTF-8, or UTF-16 with a byte order mark. It may have semicolons or tabs for
    commas, CRLF line ends, spaces around names, blank lines and other columns. A quoted cell of
    another column may have line breaks; a name has none.

    Args:
        path: the list.
        image_name: returns the name of an image in its folder, for a name in the list; raises
            `InputError` for a name that cannot be used.
        limit: number of pairs after which reading ends; None for all.
        on_bad_row: is called with the number of the line of each row that cannot be used, with the
            line, and with what is wrong with it; None to collect these rows into one error.

    Yields:
        The number of the line and the pair, for each row that is not blank.

    Raises:
        InputError: the file is missing, is not text, lacks a column, or has no rows. Without
            `on_bad_row`, rows that cannot be used are raised as one error after the last row.
    """
    lines = numbered_lines(path)
    _, header = next(lines, (1, ""))
    try:
        columns = _read_header(header)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    parser = _RowParser(columns, lru_cache(maxsize=CACHED_NAMES)(image_name))
    count = 0
    problems: list[str] = []

    def collect(number: int, line: str, reason: str) -> None:
        nonlocal count
        count += 1
        if on_bad_row:
            on_bad_row(number, line, reason)
        else:
            problems.append(f"{path}, line {number}: {reason}")

    rows = _join_lines(lines, columns)
    for numbered_pair in islice(_parse_rows(rows, parser, problems, collect), limit):
        count += 1
        yield numbered_pair
    if len(problems) == 1:
        raise InputError(problems[0])
    if problems:
        more = " or more" if len(problems) >= MAX_PROBLEMS else ""
        raise InputError(f"{path}: {len(problems):,}{more} lines cannot be read:", tuple(problems))
    if not count and limit != 0:
        raise InputError(f"{path}: the list is empty: it has a header and no pairs")


def _parse_rows(
    lines: Iterator[tuple[int, str]],
    parser: "_RowParser",
    problems: list[str],
    on_bad_row: Callable[[int, str, str], None],
) -> Iterator[tuple[int, Pair]]:
    """Yield the rows that can be used, and report the others; add what ends the list."""
    try:
        for number, line in lines:
            reason = ""
            try:
                pair = parser.parse(line)
            except InputError as error:
                pair, reason = None, str(error)
            if pair:
                yield number, pair
            elif reason:
                on_bad_row(number, line, reason)
                if len(problems) == MAX_PROBLEMS:
                    return
    except InputError as error:  # the file cannot be read further
        problems.append(str(error))


def _join_lines(lines: Iterator[tuple[int, str]], columns: "_Columns") -> Iterator[tuple[int, str]]:
    """Join the lines of a row whose quoted cell has line breaks.

    A stray quote would join rows too, up to the next one. So lines are joined only if they make a
    whole row, in which no name has a line break; else the quote is a problem of its own line.
    """
    ahead: deque[tuple[int, str]] = deque()
    while numbered_line := ahead.popleft() if ahead else next(lines, None):
        number, line = numbered_line
        if '"' in line and not _is_closed(line, columns.delimiter):
            for used in range(1, MAX_CELL_LINES):
                if len(ahead) < used and (following := next(lines, None)):
                    ahead.append(following)
                joined = "\n".join([line, *(text for _, text in islice(ahead, used))])
                if _is_closed(joined, columns.delimiter) or len(ahead) < used:
                    if _is_row(joined, columns):
                        line = joined
                        for _ in range(used):
                            ahead.popleft()
                    break
        yield number, line


def _is_closed(text: str, delimiter: str) -> bool:
    """Return whether every quoted cell of a text has its closing quote."""
    try:
        _split(text, delimiter)
    except InputError:
        return False
    return True


def _is_row(text: str, columns: "_Columns") -> bool:
    """Return whether a text is one whole row, and its names have no line breaks."""
    try:
        cells = next(
            csv.reader([text], delimiter=columns.delimiter, skipinitialspace=True, strict=True)
        )
    except csv.Error:
        return False
    names = (columns.source, columns.target, columns.output)
    return len(cells) == columns.width and not any(
        "\n" in cells[at] for at in names if at is not None
    )


class _Columns(NamedTuple):
    """The position of each column, and how many there are; `output` is None if there is none."""

    source: int
    target: int
    output: int | None
    delimiter: str
    width: int


def _read_header(header: str) -> _Columns:
    for delimiter in DELIMITERS:
        names = _column_names(header, delimiter)
        if "from" in names and "to" in names:
            output = names.index("out") if "out" in names else None
            source, target = names.index("from"), names.index("to")
            return _Columns(source, target, output, delimiter, len(names))
    if "\0" in header:
        raise InputError("not text in UTF-8; save the list in that encoding")
    names = _column_names(header, ",")
    missing = " and ".join(name for name in ("from", "to") if name not in names)
    found = ", ".join(name for name in names if name)[:200] or "nothing"
    raise InputError(
        f"the column {missing} is missing (found: {found}); a pair list is a CSV with the columns "
        "from,to"
    )


def _column_names(header: str, delimiter: str) -> list[str]:
    """Return the names of the columns: our own may be in capitals, unless one is not."""
    names = [name.strip() for name in _split(header, delimiter)]
    own = {"from", "to", "out"}.difference(names)
    return [name.lower() if name.lower() in own else name for name in names]


def _split(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line.

    Raises:
        InputError: a quoted cell does not end in this line.
    """
    # A space before a quote may also be a part of free text, in which the quote closes nowhere.
    for skips_space in (True, False):
        reader = csv.reader(iter((line, "")), delimiter=delimiter, skipinitialspace=skips_space)
        try:
            cells = next(reader)
        except csv.Error as error:
            raise InputError(str(error)) from error
        if reader.line_num == 1:
            return cells
    raise InputError(
        f"a quote opens in cell {len(cells)} and does not close in this line; remove it, or "
        "write the cell in one line"
    )


@dataclass(frozen=True)
class _RowParser:
    """Parses the rows of one list.

    Attributes:
        columns: where the names are.
        image_name: see `read_numbered_pairs`.
    """

    columns: _Columns
    image_name: Callable[[str], str]

    def parse(self, line: str) -> Pair | None:
        """Parse one row; None if all its cells are blank.

        Raises:
            InputError: a name is missing, or is not one that may be used.
        """
        columns = self.columns
        if not line.isascii():
            check_encoding(line)
        # Without quotes, this is what the parser would do.
        row = _split(line, columns.delimiter) if '"' in line else line.split(columns.delimiter)
        if len(row) > columns.width and any(map(str.strip, row[columns.width :])):
            raise InputError(
                f"{len(row)} cells, but the header has {columns.width}; quote a name that "
                f"contains {columns.delimiter!r}"
            )
        try:
            # The fast path, for lists of millions of tidy rows.
            output = row[columns.output] if columns.output is not None else ""
            return Pair(
                self.image_name(row[columns.source]),
                self.image_name(row[columns.target]),
                checked_name(output) if output else None,
            )
        except (IndexError, InputError):
            pass  # a short row, a blank cell or a bad name
        if not any(cell.strip() for cell in row):
            return None
        return self._parse_untidy(row)

    def _parse_untidy(self, row: list[str]) -> Pair:
        columns = self.columns
        source, target, output = (
            row[at].strip() if at is not None and at < len(row) else ""
            for at in (columns.source, columns.target, columns.output)
        )
        for column, name in (("from", source), ("to", target)):
            if not name:
                raise InputError(f"no name in the column {column}")
        return Pair(self.image_name(source), self.image_name(target), _output_name(output))


def _output_name(name: str) -> str | None:
    """Check a name in the column `out`; None if the cell is blank."""
    try:
        return checked_name(name) if name else None
    except InputError as error:
        raise InputError(
            f"{error}; give the result another name in the column `out`, or leave the cell empty"
        ) from error
