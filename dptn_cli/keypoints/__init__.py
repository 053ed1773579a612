"""Poses: the files they come in, their joints, and their place on an image.

18 joints in OpenPose's order, (y, x) in pixels of the image on disk, -1 where missing.
"""

from dptn_cli.enums import PoseFormat
from dptn_cli.keypoints.annotation_csv import Annotations, format_pose, parse_pose
from dptn_cli.keypoints.crop import crop_for, person_crop
from dptn_cli.keypoints.joints import (
    COCO_NAMES,
    JOINT_NAMES,
    MIRRORED,
    from_coco,
    mirror_pose,
    to_coco,
)
from dptn_cli.keypoints.network_grid import joints_in_image, to_network, with_missing
from dptn_cli.keypoints.pose_files import PoseFiles
from dptn_cli.keypoints.pose_writer import drop_pose_file, write_poses
from dptn_cli.keypoints.retarget import retarget

__all__ = [
    "COCO_NAMES",
    "JOINT_NAMES",
    "MIRRORED",
    "Annotations",
    "PoseFiles",
    "PoseFormat",
    "crop_for",
    "drop_pose_file",
    "format_pose",
    "from_coco",
    "joints_in_image",
    "mirror_pose",
    "parse_pose",
    "person_crop",
    "retarget",
    "to_coco",
    "to_network",
    "with_missing",
    "write_poses",
]
