"""Pose detection, with MoveNet or openpifpaf. No other room imports openpifpaf.

`selection` finds the detector that the user asked for. `movenet` runs the networks that are part of
the package, and `openpifpaf_detector` one that `openpifpaf_checkpoint` loads. `people` chooses one
person in each image, `log` remembers the outcomes, and `job` puts them together.
"""

from dptn_cli.detect.detector import Detector
from dptn_cli.detect.movenet import MovenetDetector
from dptn_cli.detect.openpifpaf_detector import OpenpifpafDetector
from dptn_cli.detect.openpifpaf_package import install_commands
from dptn_cli.detect.people import Detection, PersonChoice
from dptn_cli.detect.selection import AUTO, SelectedDetector, select_detector

__all__ = [
    "AUTO",
    "Detection",
    "Detector",
    "MovenetDetector",
    "OpenpifpafDetector",
    "PersonChoice",
    "SelectedDetector",
    "install_commands",
    "select_detector",
]
