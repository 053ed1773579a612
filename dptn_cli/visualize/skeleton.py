"""Draw poses as skeletons: limbs and joints in the usual OpenPose colours."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw

from dptn_cli.types import JOINTS, MISSING, ImageU8, Pose, Size

# Pairs of joints; limb i has colour i of a rainbow that starts at the right shoulder.
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10),
    (1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
COLOURS = tuple(
    tuple(round(255 * channel) for channel in colorsys.hsv_to_rgb(i / JOINTS, 1, 1))
    for i in range(JOINTS)
)
OVERSAMPLING = 4  # drawn this much larger and averaged down, for smooth edges
MAX_OVERSAMPLED_PIXELS = 4_000_000  # larger images are drawn at their own size, to save memory


def draw_pose(pose: Pose, size: Size) -> ImageU8:
    """Draw a skeleton on black.

    Args:
        pose: (18, 2) as (y, x), pixels of an image of this size; missing: -1.
        size: (height, width) of the drawing, pixels.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    return draw_pose_over(np.zeros((*size, 3), np.uint8), pose)


def draw_pose_over(image_u8: ImageU8, pose: Pose) -> ImageU8:
    """Draw a skeleton over a copy of an image.

    Args:
        image_u8: (H, W, 3) uint8 RGB.
        pose: (18, 2) as (y, x), pixels of the image; missing: -1.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = image_u8.shape[:2]
    scale = OVERSAMPLING if height * width <= MAX_OVERSAMPLED_PIXELS else 1
    image = Image.fromarray(image_u8).resize(
        (width * scale, height * scale), Image.Resampling.NEAREST
    )
    draw = ImageDraw.Draw(image)
    thickness = max(1.5, max(height, width) / 90) * scale
    points = [_point(joint, scale) for joint in pose]
    for (start_joint, end_joint), colour in zip(LIMBS, COLOURS, strict=False):
        start, end = points[start_joint], points[end_joint]
        if start and end:
            draw.line([start, end], fill=colour, width=round(thickness))
    for point, colour in zip(points, COLOURS, strict=True):
        if point:
            x, y = point
            radius = thickness * 0.8
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)
    return np.asarray(image.reduce(scale))


def _point(joint: Pose, scale: int) -> tuple[float, float] | None:
    """Return a joint's (x, y) on the enlarged image; None if it is missing."""
    if (joint == MISSING).any():
        return None
    # Pillow draws nothing if a coordinate exceeds 32 bits.
    y, x = np.clip((joint + 0.5) * scale, -1e5, 1e5)
    return float(x), float(y)
