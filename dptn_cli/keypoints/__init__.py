"""Keypoints: pose files in every dialect, joint orders, and how a person is framed.

Wherever dptn passes a pose around, it has 18 joints in OpenPose's order, as (y, x) in pixels of
the image on disk. A missing joint is (-1, -1).

- `joints`: the joint order, mirrored poses, and conversion to and from COCO's 17 joints.
- `pose_files`: read pose files and folders of any format.
- `pose_writer`: write pose files.
- `annotation_csv`, `coco`, `openpose`: one file format each; `dialects` tells JSON formats
  apart, `person_json` reads one person of any of them, and `json_file` is what they share.
- `image_names`: which image an entry of a pose file means.
- `stated_size`: poses whose file states another size than the image has.
- `body`: how large a person is, and where the body ends.
- `crop`: the crop around a person.
- `retarget`: a target pose on the source person's body.
- `placement`: room for a target pose in the network's image.
- `network_grid`: from pixels of an image to pixels of the network's input.
"""

from dptn_cli.enums import PoseFormat
from dptn_cli.keypoints.annotation_csv import Annotations, format_pose, parse_pose
from dptn_cli.keypoints.body import Body
from dptn_cli.keypoints.crop import MAX_FILLED_SHARE, crop_for, filled_share, person_crop
from dptn_cli.keypoints.joints import (
    COCO_NAMES,
    JOINT_NAMES,
    MIRRORED,
    from_coco,
    mirror_pose,
    to_coco,
)
from dptn_cli.keypoints.network_grid import (
    joints_in_image,
    present_joints,
    to_network,
    with_missing,
)
from dptn_cli.keypoints.placement import fit_into_frame, parts_not_shown
from dptn_cli.keypoints.pose_files import PoseFiles
from dptn_cli.keypoints.pose_writer import drop_pose_file, write_poses
from dptn_cli.keypoints.retarget import retarget
from dptn_cli.keypoints.stated_size import pose_on_image

__all__ = [
    "COCO_NAMES",
    "JOINT_NAMES",
    "MAX_FILLED_SHARE",
    "MIRRORED",
    "Annotations",
    "Body",
    "PoseFiles",
    "PoseFormat",
    "crop_for",
    "drop_pose_file",
    "filled_share",
    "fit_into_frame",
    "format_pose",
    "from_coco",
    "joints_in_image",
    "mirror_pose",
    "parse_pose",
    "parts_not_shown",
    "person_crop",
    "pose_on_image",
    "present_joints",
    "retarget",
    "to_coco",
    "to_network",
    "with_missing",
    "write_poses",
]
