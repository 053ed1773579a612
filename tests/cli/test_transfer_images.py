"""`dptn transfer` with source images that are unlike plain PNGs."""

import io
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from icc_profiles import SRGB, rgb_profile
from PIL import Image
from raw_images import png, png_chunk
from support import TINY_SPEC, Folder, draw_image, draw_pose, write_annotations, write_pairs

from dptn_cli.visualize.contact_sheet import CAPTION_HEIGHT, GAP

HEIGHT, WIDTH = TINY_SPEC.image_size
FIRST = "0_2_1_vis.png"


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def turned_tiff(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image.transpose(Image.Transpose.ROTATE_90), "TIFF", exif=exif)


def with_workflow(image: Image.Image) -> bytes:
    rows = [row.tobytes() for row in np.asarray(image)]
    chunk = png_chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(9 << 20)))
    return png(rows, image.width, 8, 2, before=chunk)


@pytest.mark.parametrize("fit", ["auto", "pad", "person"])
def test_sources_with_the_same_pixels_have_the_same_results(folder: Folder, fit: str) -> None:
    wide = draw_image(0, (HEIGHT, 2 * WIDTH))
    write_pairs(folder.pairs, [("0.png", "1.png")])
    contents = {
        "plain": encoded(wide, "PNG"),
        "turned": turned_tiff(wide),
        "workflow": with_workflow(wide),
        "srgb": encoded(wide, "PNG", icc_profile=rgb_profile(SRGB)),
    }
    results = {}
    for name, content in contents.items():
        (folder.path / "0.png").write_bytes(content)
        result = folder.transfer("--fit", fit, "--overwrite")
        assert result.exit_code == 0, result.stderr
        results[name] = folder.results()[FIRST]
    assert results == dict.fromkeys(contents, results["plain"])


def test_an_image_that_cannot_be_shown_fails_with_a_reason(folder: Folder) -> None:
    floats = np.linspace(-1, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    (folder.path / "0.png").write_bytes(encoded(Image.fromarray(floats), "TIFF"))
    write_pairs(folder.pairs, [("0.png", "1.png")])
    assert folder.transfer().exit_code == 1
    (line,) = folder.manifest()
    assert "mode F (floats) with samples from -1 to 1" in line["reason"]


def test_a_heic_photo_without_the_package(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (folder.path / "0.png").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x08mdat")
    write_pairs(folder.pairs, [("0.png", "1.png"), ("1.png", "2.png")])
    assert folder.transfer().exit_code == 1
    heic = {line["output"]: line.get("reason", "") for line in folder.manifest()}[FIRST]
    assert heic == "a HEIC image; to read it: pip install 'dptn-cli[heic]'"


def test_a_photo_of_more_than_100_megapixels(folder: Folder) -> None:
    """The person is where the keypoints say, in the network's image and on the contact sheet."""
    by, top, left = 120, 900, 4000
    person = draw_image(0).convert("L")
    photo = Image.new("L", (12_000, 9_000), 255)
    photo.paste(person.resize((WIDTH * by, HEIGHT * by), Image.Resampling.BICUBIC), (left, top))
    (folder.path / "0.png").write_bytes(encoded(photo, "JPEG"))
    pose = draw_pose(0)
    large = np.where(pose == -1, -1, pose * by + by // 2 + (top, left))
    write_annotations(folder.path / "keypoints.csv", {"0.png": large, "1.png": draw_pose(1)})
    write_pairs(folder.pairs, [("0.png", "1.png")])
    result = folder.transfer("--fit", "person", "--grid")
    assert result.exit_code == 0, result.stderr
    large_result = folder.results()[FIRST]
    large_page = page(folder)
    # The same photo at a quarter of its size, which is decoded whole.
    (folder.path / "0.png").write_bytes(encoded(photo.reduce(4), "PNG"))
    small = np.where(large == -1, -1, large // 4)
    write_annotations(folder.path / "keypoints.csv", {"0.png": small, "1.png": draw_pose(1)})
    assert folder.transfer("--fit", "person", "--grid").exit_code == 0
    assert psnr(large_page, page(folder)) > 30
    images = [Image.open(io.BytesIO(data)) for data in (large_result, folder.results()[FIRST])]
    assert psnr(*(np.asarray(image) for image in images)) > 25  # the random network amplifies


def page(folder: Folder) -> Any:
    """Return the source on the contact sheet."""
    sheet = np.asarray(Image.open(folder.out / "grids" / "page-00001.png"))
    return sheet[CAPTION_HEIGHT : CAPTION_HEIGHT + HEIGHT, GAP : GAP + WIDTH]


def psnr(first: Any, second: Any) -> float:
    error = ((first.astype(float) - second) ** 2).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))
