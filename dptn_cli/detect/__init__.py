"""Pose detection with openpifpaf. No other room imports that package.

`checkpoint` finds and loads a trained network, `detector` runs it over images, `people` chooses
one person in each image, `log` remembers the outcomes, and `job` puts them together.
"""

from dptn_cli.detect.checkpoint import DEFAULT_CHECKPOINT, find_checkpoint
from dptn_cli.detect.detector import Detector
from dptn_cli.detect.openpifpaf_package import install_commands
from dptn_cli.detect.people import Detection, PersonChoice

__all__ = [
    "DEFAULT_CHECKPOINT",
    "Detection",
    "Detector",
    "PersonChoice",
    "find_checkpoint",
    "install_commands",
]
