"""The poses that the page begins with: the person's own, and the one to start from."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dptn_cli.detect.selection import AUTO
from dptn_cli.enums import Provider
from dptn_cli.errors import InputError
from dptn_cli.io.images import read_image_size
from dptn_cli.keypoints import pose_on_image
from dptn_cli.pose_editor.poses import MAX_POSES, NamedPose
from dptn_cli.transfer.detection import find_missing_poses
from dptn_cli.transfer.plan import TransferRequest, make_job, with_poses
from dptn_cli.types import Item, Job, Model, Pose


@dataclass(frozen=True)
class FirstPoses:
    """What the page begins with.

    Attributes:
        source: the person's pose, (18, 2) as (y, x), pixels of the image.
        given: the poses of the file or image that the user named.
        job: the transfer job that they come from, which knows what to warn of.
    """

    source: Pose
    given: tuple[NamedPose, ...]
    job: Job


def find_first_poses(
    image: Path,
    pose: Path | None,
    model: Model,
    *,
    keypoints: Sequence[Path] = (),
    detector: str = AUTO,
    provider: Provider = Provider.AUTO,
    notify: Callable[[str], None] = lambda message: None,
) -> FirstPoses:
    """Find the poses as `dptn transfer IMAGE --poses POSE` does: in files, or else by detection.

    Args:
        image: the image of the person.
        pose: a pose file, an image or a folder of them; None for none.
        model: the model that will generate the images.
        keypoints: pose files for the images.
        detector: what looks at images without keypoints.
        provider: where the detector runs.
        notify: receives messages for the user, one line each.

    Raises:
        InputError: a file cannot be used, or nobody is found in an image.
        MissingDependency: `detector` needs openpifpaf, which is not installed.
    """
    if image.is_dir():
        raise InputError(f"{image}: a folder; name one image")
    with tempfile.TemporaryDirectory() as folder:  # keeps what a detector finds from --out
        request = TransferRequest(
            Path(folder), sources=(image,), poses=(pose or image,), keypoints=tuple(keypoints)
        )
        job = make_job(request, model)
        if job.missing_pose:
            found = find_missing_poses(job, detector, provider=provider, notify=notify)
            job = with_poses(job, found.poses)
        items = [_checked(item) for item in islice(job.items(), MAX_POSES)]
    given = [NamedPose(item.target, item.target_pose) for item in items]
    source = pose_on_image(items[0].source_pose, items[0].source_size, read_image_size(image))
    return FirstPoses(source, tuple(given) if pose else (), job)


def _checked(item: Item) -> Item:
    if item.failure_reason:
        raise InputError(item.failure_reason)
    return item
