"""Images and poses of a pair list, to calibrate an int8 model on and to prove it on."""

from itertools import islice
from pathlib import Path

import numpy as np

from dptn_cli.errors import InputError
from dptn_cli.export.int8 import Calibration
from dptn_cli.io.images import decode_image, read_image_size
from dptn_cli.io.resize import crop_to_network
from dptn_cli.transfer.framing import frame_item_target, frame_source
from dptn_cli.transfer.plan import Request, make_job
from dptn_cli.types import Batch, ImageSpec, Item, Job, Model

MAX_PAIRS = 128
MIN_EACH = 4
HELD_OUT = 4  # every so many sources, one is kept for the proof


def read_calibration(request: Request, spec: ImageSpec) -> Calibration:
    """Read pairs spread evenly over a list; its last sources by name are kept for the proof.

    By name, because the images of one person usually follow each other.

    Args:
        request: the pair list, with its images and keypoints.
        spec: of the model that is calibrated.

    Raises:
        InputError: the list cannot be used, one of the images cannot, or there are too few.
    """
    job = make_job(request, Model(Path(), "", spec, "fp32", {}))
    step = -(-job.planned // MAX_PAIRS)
    items = [item for item in islice(job.items(), 0, None, step) if not _unusable(item)]
    sources = sorted({item.source for item in items})
    kept = set(sources[len(sources) - len(sources) // HELD_OUT :])
    ranges = [item for item in items if item.source not in kept]
    verification = [item for item in items if item.source in kept]
    if min(len(ranges), len(verification)) < MIN_EACH:
        raise InputError(
            f"{request.pairs}: {len(ranges)} pairs to calibrate on and {len(verification)}, of "
            f"other sources, to verify it on: at least {MIN_EACH} each are needed, with keypoints, "
            "which --keypoints or a keypoints.csv beside them give"
        )
    return Calibration(
        *(tuple(_read(item, job) for item in part) for part in (ranges, verification))
    )


def _unusable(item: Item) -> bool:
    return bool(item.failure_reason) or item.pose_pending


def _read(item: Item, job: Job) -> Batch:
    """The pair as the network sees it."""
    spec = job.model.spec
    try:
        size = read_image_size(item.source_path)
        source = frame_source(item.source_pose, size, spec, job.fit)
        target_pose = frame_item_target(item, source, job).on_network
        image = decode_image(item.source_path.read_bytes())
    except InputError as error:
        raise InputError(f"{item.source} -> {item.target}: {error}") from error
    on_network = crop_to_network(image, source.crop, spec.network_size)
    poses = source.on_network[np.newaxis], target_pose[np.newaxis]
    return Batch(on_network[np.newaxis], *poses, np.zeros(1, np.int64))
