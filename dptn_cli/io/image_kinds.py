"""What kind of file is in a folder: a readable image, an unreadable one, or neither.

Most files are recognised by their suffix. Files with any other suffix, or none, are recognised by
their first bytes, except behind URLs, where each look would cost a request.
"""

import re
from enum import Enum, auto
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from dptn_cli.io.image_files import START_BYTES, is_avif, is_heic
from dptn_cli.io.paths import HEIC_SUFFIXES, IMAGE_SUFFIXES
from dptn_cli.io.storage import storage_of

_READ_SUFFIXES = IMAGE_SUFFIXES - HEIC_SUFFIXES
_UNREAD_SUFFIXES = frozenset(
    {
        # raw files of cameras
        ".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".kdc", ".mrw", ".nef", ".nrw",
        ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
        # drawings and documents
        ".ai", ".djvu", ".emf", ".eps", ".kra", ".pdf", ".ps", ".psb", ".psd", ".svg", ".svgz",
        ".wmf", ".xcf",
        # rare images
        ".cur", ".dcm", ".dds", ".exr", ".hdr", ".icns", ".ico", ".j2k", ".jp2", ".jpf", ".jpx",
        ".jxl", ".jxr", ".pcx", ".tga",
        # video
        ".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".webm",
        ".wmv",
    }
)  # fmt: skip
# Data, and partial downloads. The remaining files are few enough to look into.
_OTHER_SUFFIXES = frozenset(
    {
        ".bak", ".crdownload", ".csv", ".download", ".html", ".json", ".jsonl", ".log", ".md",
        ".npy", ".npz", ".onnx", ".part", ".partial", ".pkl", ".pth", ".py", ".tmp", ".tsv",
        ".txt", ".xml", ".xmp", ".yaml", ".yml", ".zip",
    }
)  # fmt: skip
_IMAGE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}WEBP|II\*\0|MM\0\*|P[1-6]\s+[#\d]"
    rb"|BM.{4}\0{4}",
    re.DOTALL,
)


class FileKind(Enum):
    """What a file is, as far as its name and first bytes tell."""

    IMAGE = auto()
    HEIC = auto()
    """An image whose decoder is not installed."""
    UNREAD = auto()
    """An image or a video of a kind that dptn never reads."""
    OTHER = auto()


def file_kind(folder: Path, name: str) -> FileKind:
    """Return what a file is.

    Args:
        folder: a folder.
        name: the file's name in it, with forward slashes.

    Raises:
        OSError: the file must be looked into, and cannot be read.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _READ_SUFFIXES:
        return FileKind.IMAGE
    if suffix in _UNREAD_SUFFIXES:
        return FileKind.UNREAD
    may_be_heic = suffix in HEIC_SUFFIXES
    storage = storage_of(folder)
    if not storage.is_remote and suffix not in _OTHER_SUFFIXES and not name.endswith("~"):
        start = storage.read_bytes(storage.join(folder, name), START_BYTES)
        if _IMAGE.match(start) or is_avif(start):
            return FileKind.IMAGE
        may_be_heic = may_be_heic or is_heic(start)
    if may_be_heic:
        return FileKind.IMAGE if find_spec("pillow_heif") else FileKind.HEIC
    return FileKind.OTHER
