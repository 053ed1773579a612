"""What a result is called: as listed, or by the published rule, within what a file system holds."""

import hashlib
import os
from functools import lru_cache
from pathlib import PurePosixPath

from dptn_cli.enums import ImageFormat
from dptn_cli.io.paths import MAX_PART_BYTES

RESULT_SUFFIXES = (".png", ".jpg", ".jpeg")
CACHED_NAMES = 1 << 16  # names of images that are kept until another row repeats them
DIGEST_BYTES = 6  # a name of twelve hexadecimal digits
SHORTEST_SHORTENED = MAX_PART_BYTES // 8  # characters; such a name is cut to nearly the limit


def result_name(source: str, target: str, output: str | None, fmt: ImageFormat) -> str:
    """Return the name of a result: as listed, or the published naming in the source's folder.

    A published name that no file system holds is shortened, in the same way in every run and on
    every machine.
    """
    if output:
        has_suffix = PurePosixPath(output).suffix.lower() in RESULT_SUFFIXES
        return output if has_suffix else f"{output}.{fmt}"
    name = f"{_folder_and_stem(source)}_2_{_stem(target)}_vis.{fmt}"
    if len(name) <= MAX_PART_BYTES and name.isascii():  # most names
        return name
    return name if _fits(name) else _shorten(name, source, target, f"_vis.{fmt}")


def is_shortened(source: str, target: str, output: str) -> bool:
    """Return whether a result has a shortened name, because the published one is too long."""
    if len(output) < SHORTEST_SHORTENED:
        return False
    suffix = PurePosixPath(output).suffix
    name = f"{_folder_and_stem(source)}_2_{_stem(target)}_vis{suffix}"
    return not _fits(name) and output == _shorten(name, source, target, f"_vis{suffix}")


def _fits(name: str) -> bool:
    try:
        return len(os.fsencode(name.rpartition("/")[2])) <= MAX_PART_BYTES
    except UnicodeEncodeError:  # no file has such a name; the checks say so
        return True


def _shorten(name: str, source: str, target: str, ending: str) -> str:
    """Keep the beginnings of both names, and tell long names apart by a digest of the whole.

    Args:
        name: the published name, whose last part is too long.
        source: name of the source.
        target: name of the target.
        ending: the end of the published name.

    Returns:
        `{source}_2_{target}_{digest}{ending}` in the folder of `name`.
    """
    digest = hashlib.blake2b(
        name.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES
    ).hexdigest()
    room = MAX_PART_BYTES - len(f"_2__{digest}{ending}")
    source_stem, target_stem = _encode(_stem(source)), _encode(_stem(target))
    # A short name leaves its room to the other one.
    of_source = max(room // 2, room - len(target_stem))
    of_target = max(room - room // 2, room - len(source_stem))
    beginnings = f"{_cut(source_stem, of_source)}_2_{_cut(target_stem, of_target)}"
    folder = name.rpartition("/")[0]
    shortened = f"{beginnings}_{digest}{ending}"
    return f"{folder}/{shortened}" if folder else shortened


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "ignore")  # bytes that are no text are left to the digest


def _cut(encoded: bytes, limit: int) -> str:
    """Return at most `limit` bytes of a text, without the part of a character at the end."""
    return encoded[:limit].decode("utf-8", "ignore").rstrip()


@lru_cache(maxsize=CACHED_NAMES)
def _folder_and_stem(name: str) -> str:
    path = PurePosixPath(name)
    return (path.parent / path.stem).as_posix()


@lru_cache(maxsize=CACHED_NAMES)
def _stem(name: str) -> str:
    return PurePosixPath(name).stem
