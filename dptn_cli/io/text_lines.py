"""Text files, read line by line: numbered, in UTF-8 or UTF-16, and of limited line length."""

import io
from collections.abc import Iterator
from pathlib import Path

from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.storage import storage_of

MAX_LINE_LENGTH = 100_000  # characters, more than any line of a list or an annotation CSV
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def encoding_of(start: bytes) -> str:
    """Return the encoding of a text by its first bytes: UTF-16 with a byte order mark, or UTF-8."""
    return "utf-16" if start[:2] in _UTF_16_MARKS else "utf-8-sig"


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read a text in UTF-8, or in UTF-16 with a byte order mark.

    Bytes that are not UTF-8 become lone surrogates, which `check_encoding` finds, so that the
    other lines can be read.

    Yields:
        The number of each line, from 1 on, and the line without its line break and without a byte
        order mark. A line break is LF, CRLF or CR.

    Raises:
        InputError: the file cannot be read, a line is longer than `MAX_LINE_LENGTH`, or the file
            is broken UTF-16.
    """
    try:
        with user_errors(path), storage_of(path).open_bytes(path) as binary:
            encoding = encoding_of(binary.read(2))
            binary.seek(0)
            errors = "strict" if encoding == "utf-16" else "surrogateescape"
            text = io.TextIOWrapper(binary, encoding=encoding, errors=errors)
            number = 0
            while line := text.readline(MAX_LINE_LENGTH):
                number += 1
                if len(line) == MAX_LINE_LENGTH:
                    raise InputError(
                        f"{path}, line {number}: longer than any line of such a file "
                        f"({MAX_LINE_LENGTH:,} characters)"
                    )
                yield number, line.rstrip("\n")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not text in UTF-16 ({error.reason}); save it in UTF-8"
        ) from error


def check_encoding(line: str) -> None:
    """Make sure that a line of `numbered_lines` is UTF-8.

    Raises:
        InputError: it has other bytes. The message names the first of them.
    """
    if line.isascii():
        return
    try:
        line.encode()
    except UnicodeEncodeError as error:
        byte = ord(line[error.start]) - 0xDC00
        raise InputError(
            f"not in UTF-8 (byte 0x{byte:02x} in character {error.start + 1}); save the file in "
            "that encoding"
        ) from error
