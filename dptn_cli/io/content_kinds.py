"""What a file really is, by its content, when it is not the model that its name promises.

A saved web page, a git-lfs pointer or an archive is often found under the name of a model. An
error should call it what it is.
"""

import errno
import re
import stat
import zipfile
from pathlib import Path
from typing import BinaryIO

START_BYTES = 1024
AGAIN = "download the file itself again"
UNPACK = "unpack it first"

# Noun phrase and advice, by the pattern that the content starts with.
_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (rb"version https://git-lfs", "a git-lfs pointer", "fetch the file itself with `git lfs pull`"),
    (
        rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype\s+html|html|head|title|body|script|meta|!--)",
        "a web page (HTML)",
        AGAIN,
    ),
    (rb"(\xef\xbb\xbf)?\s*<\?xml|\s*<(Error|svg)\b", "an XML document", AGAIN),
    (rb"\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|RIFF.{4}WEBP|II\*\0|MM\0\*|BM.{4}\0{4}", "an image", ""),
    (rb".{4}ftyp(avif|avis|heic|heix|mif1|msf1)", "an image", ""),
    (rb".{4}ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI ", "a video", ""),
    (rb"%PDF-", "a PDF document", ""),
    (rb"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (rb"\x1f\x8b", "a gzip archive", UNPACK),
    (rb"BZh[1-9]1AY&SY", "a bzip2 archive", UNPACK),
    (rb"\xfd7zXZ\0", "an xz archive", UNPACK),
    (rb"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK),
    (rb"\x04\x22\x4d\x18", "an lz4 archive", UNPACK),
    (rb".{257}ustar", "a tar archive", UNPACK),
    (rb".{8}\{\s*\"", "a safetensors file", ""),
    (rb"\x89HDF\r\n\x1a\n", "a Keras (HDF5) file", ""),
    (rb"\x93NUMPY", "a NumPy array", ""),
    (rb"GGUF|gg(ml|jt|mf)", "a GGUF file", ""),
    (rb".{4}TFL3", "a TensorFlow Lite file", ""),
    (rb".{4}ORTM", "a model in onnxruntime's own format (ORT)", ""),
    (rb"\n[^\0]{1,3}\n[\x01-\x7f][\w/.-]+\x12", "a TensorFlow graph", ""),
    (rb"\x08[\x01-\x1f]([\x12\x1a\x22].{1,100}?|)[:B]", "an ONNX file", ""),
    (rb"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19\.", "a PyTorch checkpoint", ""),
    (rb"\x80[\x02-\x05]", "a pickle file", ""),
    (rb"\x7fELF|MZ.{10}|#!/", "a program", ""),
    (rb"SQLite format 3\0", "an SQLite database", ""),
    (rb"\s*[\[{]\s*([\"\[{\]}]|-?\d)", "JSON text", AGAIN),
)  # fmt: skip
_TEXT = re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]*\Z")

# The same for zip archives, by a pattern that one of their names fits.
_ZIP_KINDS = (
    (r"[^/]+/constants\.pkl", "a TorchScript file", "save the network's state_dict() instead"),
    (r"[^/]+/data\.pkl", "a PyTorch checkpoint", ""),
    (r"model\.weights\.h5", "a Keras file", ""),
    (r".*\.npy", "an archive of NumPy arrays (.npz)", ""),
    (r"\[Content_Types\]\.xml", "an Office document", ""),
    (r"AndroidManifest\.xml|META-INF/.*", "a Java archive", ""),
)


def not_a(path: Path, expected: str) -> str:
    """Say in one line that a file is not what was expected, and what it is.

    Args:
        path: a regular file that can be read.
        expected: what it should be, such as "an ONNX file".

    Raises:
        OSError: the file cannot be read.
    """
    kind, advice = content_kind(path)
    if not kind or kind == expected:
        return f"{path}: not {expected}, or a truncated one"
    return f"{path}: {kind}, not {expected}" + (f": {advice}" if advice else "")


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, but no device or pipe, which could have no end.

    Raises:
        OSError: it cannot be read, is a folder, or is no regular file.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "not a regular file")
    return path.open("rb")


def content_kind(path: Path) -> tuple[str, str]:
    """Return what a file is, as a noun phrase, and what to do about it; each may be empty.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(START_BYTES)
    if not start:
        return "an empty file", AGAIN
    if start.startswith(b"PK"):
        return _zip_kind(path)
    for pattern, kind, advice in _KINDS:
        if re.match(pattern, start, re.DOTALL):
            return kind, advice
    return ("a text file", AGAIN) if _TEXT.match(start) and _is_utf8(start) else ("", "")


def _zip_kind(path: Path) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError):
        return "", ""
    for pattern, kind, advice in _ZIP_KINDS:
        if any(re.fullmatch(pattern, name) for name in names):
            return kind, advice
    return "a zip archive", UNPACK


def _is_utf8(start: bytes) -> bool:
    try:
        start[: -4 or None].decode()  # the last character may be cut
    except UnicodeDecodeError as error:
        return error.start > len(start) - 8
    return True
