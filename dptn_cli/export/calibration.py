"""Images and poses of a pair list, for calibrating an int8 model and for verifying it."""

from itertools import islice
from pathlib import Path

import numpy as np

from dptn_cli.errors import InputError
from dptn_cli.export.int8 import Calibration
from dptn_cli.io.images import decode_crop, read_image_size
from dptn_cli.transfer.framing import frame_item_source, frame_item_target
from dptn_cli.transfer.plan import TransferRequest, make_job
from dptn_cli.types import Batch, ImageSpec, Item, Job, Model

MAX_PAIRS = 128
MIN_PAIRS_EACH = 4
HELD_OUT = 4  # One in this many sources is held out for verification.


def read_calibration(request: TransferRequest, spec: ImageSpec) -> Calibration:
    """Read pairs that are spread evenly over a pair list.

    The last sources by name are held out for verification. By name, because images of the same
    person usually have similar names, so that few people end up on both sides.

    Args:
        request: the pair list, with its images and keypoints.
        spec: the images of the model that is calibrated.

    Raises:
        InputError: the pair list or one of its images cannot be used, or there are too few pairs.
    """
    job = make_job(request, Model(Path(), "", spec, "fp32", {}))
    step = -(-job.planned // MAX_PAIRS)
    items = [item for item in islice(job.items(), 0, None, step) if _is_usable(item)]
    sources = sorted({item.source for item in items})
    held_out = set(sources[len(sources) - len(sources) // HELD_OUT :])
    ranges = [item for item in items if item.source not in held_out]
    verification = [item for item in items if item.source in held_out]
    if min(len(ranges), len(verification)) < MIN_PAIRS_EACH:
        raise InputError(
            f"{request.pairs}: {len(ranges)} pairs for calibration and {len(verification)}, of "
            f"other sources, for verification, but at least {MIN_PAIRS_EACH} of each are needed. "
            "Pairs without keypoints do not count: give --keypoints, or put a keypoints.csv next "
            "to the images"
        )
    return Calibration(
        tuple(_read(item, job) for item in ranges),
        tuple(_read(item, job) for item in verification),
    )


def _is_usable(item: Item) -> bool:
    return not item.failure_reason and not item.pose_pending


def _read(item: Item, job: Job) -> Batch:
    """Read a pair as a batch of one."""
    spec = job.model.spec
    try:
        size = read_image_size(item.source_path)
        source = frame_item_source(item, size, job)
        target = frame_item_target(item, source, job)
        cropped = decode_crop(item.source_path.read_bytes(), source.crop, spec.network_size)
    except InputError as error:
        raise InputError(f"{item.source} -> {item.target}: {error}") from error
    return Batch(
        cropped[np.newaxis],
        source.on_network[np.newaxis],
        target.on_network[np.newaxis],
        np.zeros(1, np.int64),
    )
