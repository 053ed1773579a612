"""Poses to start from: those of people in `examples/people`."""

import json
from importlib.resources import files

from dptn_cli.pose_editor.poses import NamedPose, from_joints


def read_presets() -> list[NamedPose]:
    """Read the poses that are part of the package."""
    presets = json.loads(files(__package__).joinpath("presets.json").read_bytes())
    return [NamedPose(preset["name"], from_joints(preset["joints"])) for preset in presets]
