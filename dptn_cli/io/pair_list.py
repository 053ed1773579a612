"""Pair lists: CSV files with the columns `from` and `to`, and optionally `out`."""

import csv
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO, NamedTuple

from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.paths import checked_name
from dptn_cli.io.storage import open_text
from dptn_cli.types import Pair

MAX_PROBLEMS = 1000  # before reading stops

_checked_name = lru_cache(maxsize=1 << 16)(checked_name)  # lists name the same images again


def read_pairs(path: Path) -> Iterator[Pair]:
    """Read a pair list row by row, without holding it in memory.

    The file may have a byte order mark, CRLF line ends, spaces around names, blank lines and
    other columns.

    Yields:
        One pair for each row that is not blank.

    Raises:
        InputError: the file is missing, is not a CSV in UTF-8, lacks a column, or has no rows.
            Rows with empty names or names that leave their folder are collected and raised as
            one error after the last row.
    """
    try:
        with (
            user_errors(path),
            open_text(path, encoding="utf-8-sig", newline="") as file,
        ):
            yield from _read_rows(path, file)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not a CSV in UTF-8 ({error.reason}); save it in that encoding"
        ) from error
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV: {error}") from error


class _Columns(NamedTuple):
    """The position of each column; `output` is None if the list has no such column."""

    source: int
    target: int
    output: int | None


def _read_rows(path: Path, file: IO[str]) -> Iterator[Pair]:
    reader = csv.reader(file)
    columns = _read_header(path, next(reader, []))
    is_empty = True
    problems: list[str] = []
    for row in reader:
        try:
            pair = _parse_row(row, columns)
        except InputError as error:
            problems.append(f"{path}, line {reader.line_num}: {error}")
            if len(problems) == MAX_PROBLEMS:
                break
            continue
        if pair:
            is_empty = False
            yield pair
    if len(problems) == 1:
        raise InputError(problems[0])
    if problems:
        raise InputError(f"{path}: {len(problems):,} lines cannot be read:", tuple(problems))
    if is_empty:
        raise InputError(f"{path}: the list is empty: it has a header and no pairs")


def _read_header(path: Path, header: list[str]) -> _Columns:
    names = [name.strip() for name in header]
    if missing := [name for name in ("from", "to") if name not in names]:
        found = ", ".join(name for name in names if name) or "nothing"
        hint = ", with commas, not semicolons" if ";" in found else ""
        raise InputError(
            f"{path}: the column {' and '.join(missing)} is missing (found: {found}); "
            f"a pair list is a CSV with the columns from,to{hint}"
        )
    output = names.index("out") if "out" in names else None
    return _Columns(names.index("from"), names.index("to"), output)


def _parse_row(row: list[str], columns: _Columns) -> Pair | None:
    """Read one row; None if all its cells are blank.

    Raises:
        InputError: a name is missing, or is not one that may be used.
    """
    try:
        # The fast path, for lists of millions of tidy rows.
        output = row[columns.output] if columns.output is not None else ""
        return Pair(
            _checked_name(row[columns.source]),
            _checked_name(row[columns.target]),
            checked_name(output) if output else None,
        )
    except (IndexError, InputError):
        pass  # a short row, a blank cell or a bad name
    if not any(cell.strip() for cell in row):
        return None
    source, target, output = (
        row[at].strip() if at is not None and at < len(row) else "" for at in columns
    )
    for column, name in (("from", source), ("to", target)):
        if not name:
            raise InputError(f"no name in the column {column}")
    return Pair(
        checked_name(source), checked_name(target), checked_name(output) if output else None
    )
