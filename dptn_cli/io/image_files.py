"""Opening image files: which decoders may read them, and why one of them cannot be read."""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, TypeVar

from PIL import Image, JpegImagePlugin, TiffImagePlugin, UnidentifiedImageError, features

from dptn_cli.errors import InputError, MachineLimit
from dptn_cli.io.png_chunks import without_large_texts

T = TypeVar("T")

MAX_PIXELS = 100_000_000
# Neither EPS, whose decoder runs another program, nor formats that hardly any image has.
DECODERS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "AVIF")
START_BYTES = 256  # enough to tell the format
JPEG_START = b"\xff\xd8\xff"
AVIF_BRANDS = {b"avif", b"avis"}
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
HEIC_BRANDS |= {b"mif1", b"mif2", b"msf1"}  # AVIF has these too, beside its own
_SAMPLE_FORMATS = {1: "unsigned", 2: "signed", 3: "float"}
_PHOTOMETRICS = {0: "gray", 1: "gray", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "LAB"}

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
# Pillow warns of odd EXIF data and the like, but an image is either read or refused. The filter
# is set once for the process: changing it for a while would change it for every thread.
warnings.filterwarnings("ignore", module=r"PIL\.")
Image.init()  # register the decoders now, not in the first thread that meets a WebP
_REGISTERED = tuple(name for name in DECODERS if name in Image.OPEN)  # AVIF came with Pillow 11.3


def use_image(file: BinaryIO, use: Callable[[Image.Image], T]) -> T:
    """Open an image and return what a function makes of it.

    Args:
        file: an image file, open at its start.
        use: is called with the opened image; a second time if the first has failed because of
            a PNG's texts, which are left out then.

    Raises:
        InputError: the file is not an image that can be read, or `use` failed at it.
    """
    with _decoding_errors(file):
        try:
            with _open(file) as image:
                return use(image)
        except (ValueError, SyntaxError, UnidentifiedImageError):
            file.seek(0)
            lighter = without_large_texts(file.read())
            if lighter is None:
                raise
        with _open(io.BytesIO(lighter)) as image:
            return use(image)


def check_pixels(image: Image.Image) -> None:
    """Refuse an image that is too large to be decoded whole.

    Raises:
        InputError: it has more than `MAX_PIXELS` pixels; Pillow itself refuses twice as many.
    """
    if image.width * image.height > MAX_PIXELS:
        raise too_large(f"{image.width:,}x{image.height:,}")


def too_large(size: str) -> InputError:
    """Return the error for an image with too many pixels.

    Args:
        size: how many it has, in words.
    """
    return InputError(f"more than {MAX_PIXELS:,} pixels: it has {size}")


def _open(file: BinaryIO) -> Image.Image:
    file.seek(0)
    start = file.read(START_BYTES)
    if not start:
        raise InputError("the file is empty")
    file.seek(0)
    if is_heic(start):
        _register_heic()
        return Image.open(file, formats=("HEIF",))
    try:
        return Image.open(file, formats=_REGISTERED)
    except Image.DecompressionBombError:
        if not start.startswith(JPEG_START):
            raise
    file.seek(0)
    return JpegImagePlugin.JpegImageFile(file)  # `large_jpegs` has limits of its own


def _brands(start: bytes) -> set[bytes]:
    """Return the brands of an AVIF, HEIC or MP4 file; other files have none."""
    if start[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(start[:4]), len(start))
    return {start[8:12], *(start[i : i + 4] for i in range(16, end, 4))}


def is_heic(start: bytes) -> bool:
    """Return whether a file is HEIC, by its first `START_BYTES` bytes."""
    brands = _brands(start)
    return bool(brands & HEIC_BRANDS) and not brands & AVIF_BRANDS


def is_avif(start: bytes) -> bool:
    """Return whether a file is AVIF, by its first `START_BYTES` bytes."""
    return bool(_brands(start) & AVIF_BRANDS)


def _register_heic() -> None:
    """Make Pillow read HEIC, within the limits of Pillow and libheif."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise MachineLimit("a HEIC image; to read it: pip install 'dptn-cli[heic]'") from error
    register_heif_opener()


@contextmanager
def _decoding_errors(file: BinaryIO) -> Iterator[None]:
    """Turn whatever a decoder raises into an `InputError` that says what is wrong."""
    try:
        yield
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        pixels = re.search(r"\d+", str(error))
        raise too_large(f"{int(pixels[0]):,}" if pixels else "far more") from error
    except UnidentifiedImageError as error:
        file.seek(0)
        raise _unreadable(file.read()) from error
    except MemoryError as error:
        raise MachineLimit("too large for this machine's memory") from error
    except Exception as error:  # Decoders raise nearly anything at broken files.
        raise InputError(f"cannot be decoded: {error or type(error).__name__}") from error


def _unreadable(data: bytes) -> InputError:
    """Return the error for a file that no decoder accepts."""
    if is_avif(data[:START_BYTES]) and not features.check("avif"):
        return MachineLimit("an AVIF image; to read it: pip install -U pillow")
    return InputError(_describe_unreadable(data))


def _describe_unreadable(data: bytes) -> str:
    if data.startswith(tuple(TiffImagePlugin.PREFIXES)):
        try:
            return f"a TIFF that cannot be read: {_tiff_samples(data)}; save it as 8-bit RGB"
        except Exception:  # Pillow raises nearly anything at broken tags.
            return "a TIFF with broken tags"
    if is_heic(data[:START_BYTES]):
        return "a broken HEIC image"
    if is_avif(data[:START_BYTES]):
        return "a broken AVIF image"
    return "not an image, or of an unknown format"


def _tiff_samples(data: bytes) -> str:
    """Describe the samples of a TIFF, such as "3 x 32-bit float, RGB"."""
    file = io.BytesIO(data)
    is_big = b"\x2b" in data[2:4]
    tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(16 if is_big else 8))
    file.seek(tags.next)
    tags.load(file)
    bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    count = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
    kind = _SAMPLE_FORMATS.get(tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))[0], "unknown")
    colors = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, "unknown")
    compression = tags.get(TiffImagePlugin.COMPRESSION, 1)
    name = TiffImagePlugin.COMPRESSION_INFO.get(compression, f"number {compression}")
    return (
        f"{count} x {bits[0]}-bit {kind}, {_PHOTOMETRICS.get(colors, colors)}, compression {name}"
    )
