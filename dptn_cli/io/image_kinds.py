"""What a file is that cannot be read as an image."""

import io

from PIL import TiffImagePlugin

_SAMPLE_FORMATS = {1: "unsigned", 2: "signed", 3: "float"}
_PHOTOMETRICS = {0: "gray", 1: "gray", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "LAB"}


def describe_unreadable(data: bytes) -> str:
    """Say why no decoder takes a file.

    Args:
        data: content of the file.
    """
    if data.startswith(tuple(TiffImagePlugin.PREFIXES)):
        try:
            return f"a TIFF that cannot be read: {_tiff_samples(data)}; save it as 8-bit RGB"
        except Exception:  # Pillow raises nearly anything at broken tags.
            return "a TIFF with broken tags"
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
