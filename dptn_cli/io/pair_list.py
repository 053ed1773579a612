"""Pair lists: CSV with the columns `from` and `to`, and optionally `out`."""

import csv
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO

from dptn_cli.errors import InputError
from dptn_cli.io.files import checked_name
from dptn_cli.io.storage import open_text
from dptn_cli.types import Pair

MAX_PROBLEMS = 1000  # found before a list is given up


def read_pairs(path: Path) -> Iterator[Pair]:
    """Read a pair list row by row; it is never in memory as a whole.

    A byte order mark, CRLF line ends, spaces around names, blank lines and other columns are
    allowed.

    Raises:
        InputError: no such file, not text, a column missing, no rows; or rows whose names are
            empty or leave their folder, all as one error after the last row, with their lines.
    """
    try:
        with open_text(path, encoding="utf-8-sig", newline="") as file:
            yield from _rows(path, file)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not a CSV in UTF-8 ({error.reason}); save it in that encoding"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV: {error}") from error


def _rows(path: Path, file: IO[str]) -> Iterator[Pair]:
    reader = csv.reader(file)
    header = [name.strip() for name in next(reader, [])]
    if missing := [name for name in ("from", "to") if name not in header]:
        found = ", ".join(name for name in header if name) or "nothing"
        raise InputError(
            f"{path}: the column {' and '.join(missing)} is missing (found: {found}); "
            "a pair list is a CSV with the columns from,to"
            + (", with commas, not semicolons" if ";" in found else "")
        )
    source, target = header.index("from"), header.index("to")
    output = header.index("out") if "out" in header else None
    empty, problems = True, []
    for row in reader:
        try:
            named = checked_name(row[output]) if output is not None and row[output] else None
            pair: Pair | str | None = Pair(_checked(row[source]), _checked(row[target]), named)
        except (IndexError, InputError):
            pair = _untidy_pair(row, header)
        if isinstance(pair, str):
            problems.append(f"{path}, line {reader.line_num}: {pair}")
            if len(problems) == MAX_PROBLEMS:
                break
        elif pair:
            empty = False
            yield pair
    if problems:
        one = len(problems) == 1
        told = problems[0] if one else f"{path}: {len(problems):,} lines cannot be read:"
        raise InputError(told, () if one else tuple(problems))
    if empty:
        raise InputError(f"{path}: the list is empty: it has a header and no pairs")


@lru_cache(maxsize=1 << 16)
def _checked(name: str) -> str:
    return checked_name(name)


def _untidy_pair(row: list[str], header: list[str]) -> Pair | str | None:
    """A row with blank or missing cells; None where all are blank, or what is wrong with it."""
    if not any(cell.strip() for cell in row):
        return None
    columns = {name: header.index(name) for name in ("from", "to", "out") if name in header}
    cells = {name: row[i].strip() if i < len(row) else "" for name, i in columns.items()}
    for name in ("from", "to"):
        if not cells[name]:
            return f"no name in the column {name}"
    try:
        output = checked_name(cells["out"]) if cells.get("out") else None
        return Pair(checked_name(cells["from"]), checked_name(cells["to"]), output)
    except InputError as error:
        return str(error)
