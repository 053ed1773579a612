"""Images that dptn marks as its own, because it replaces them without being asked.

The mark is a text chunk of the PNG.
"""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dptn_cli.errors import user_errors
from dptn_cli.io.files import write_file
from dptn_cli.io.images import PNG_LEVEL
from dptn_cli.io.storage import StoreError, storage_of
from dptn_cli.types import ImageU8

SOFTWARE_KEY, SOFTWARE = "Software", "dptn"


def write_marked_image(path: Path, image_u8: ImageU8) -> None:
    """Write an image as a PNG with the mark, whole or not at all.

    Args:
        path: the file; its folder is created.
        image_u8: (H, W, 3) uint8 RGB.

    Raises:
        InputError: the file cannot be written.
    """
    mark = PngInfo()
    mark.add_text(SOFTWARE_KEY, SOFTWARE)
    image = Image.fromarray(image_u8)
    write_file(path, lambda file: image.save(file, "PNG", compress_level=PNG_LEVEL, pnginfo=mark))


def software_of(image: Image.Image) -> str | None:
    """Return the name of the software that an image is marked with; None without one."""
    name = image.info.get(SOFTWARE_KEY)
    return None if name is None else str(name)


def has_mark(image: Image.Image) -> bool:
    """Return whether an image has dptn's mark."""
    return software_of(image) == SOFTWARE


def is_own_png(path: Path, is_own: Callable[[Image.Image], bool] = has_mark) -> bool:
    """Return whether a file is a PNG of dptn's. Broken files and other formats are not.

    Args:
        path: the file.
        is_own: decides by the opened image; it may load the pixels.

    Raises:
        InputError: the file cannot be read.
    """

    def parse(file: BinaryIO) -> bool:
        try:
            with Image.open(file, formats=("PNG",)) as image:
                return is_own(image)
        except StoreError:
            raise
        except Exception:  # Decoders raise nearly anything at broken files.
            return False

    with user_errors(path):
        return storage_of(path).parse_header(path, parse)
