"""Poses to start from: those of people in `examples/people`."""

import json
from importlib.resources import files

import numpy as np

from dptn_cli.pose_editor.editor import NamedPose
from dptn_cli.types import JOINTS, MISSING

SIZE = (256, 176)
"""(height, width) of the images that the poses are from."""


def read_presets() -> list[NamedPose]:
    """Read the poses that are part of the package."""
    presets = json.loads(files(__package__).joinpath("presets.json").read_bytes())
    poses = []
    for preset in presets:
        pose = np.full((JOINTS, 2), float(MISSING))
        for number, joint in enumerate(preset["joints"]):
            if joint is not None:
                pose[number] = joint[::-1]
        poses.append(NamedPose(preset["name"], pose, SIZE))
    return poses
