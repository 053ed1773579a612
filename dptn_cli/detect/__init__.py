"""Pose detection with openpifpaf, which is imported here alone, and only when asked for.

`checkpoint` finds and reads a trained network, `detector` runs it over images, `people`
chooses whose pose counts.
"""

from dptn_cli.detect.checkpoint import DEFAULT_CHECKPOINT, find_checkpoint, install_commands
from dptn_cli.detect.detector import Detector
from dptn_cli.detect.people import Choice, Detection

__all__ = [
    "DEFAULT_CHECKPOINT",
    "Choice",
    "Detection",
    "Detector",
    "find_checkpoint",
    "install_commands",
]
