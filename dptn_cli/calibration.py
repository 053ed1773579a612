"""Pictures and poses of a pair list, to calibrate an int8 model on and to prove it on."""

from itertools import islice
from pathlib import Path

import numpy as np

from dptn_cli.errors import InputError
from dptn_cli.images import crop_to_network, decode_picture, picture_size
from dptn_cli.placing import source_placed, target_placed
from dptn_cli.plan import Request, make_job
from dptn_cli.quantization import Calibration
from dptn_cli.records import Batch, Frame, Item, Job, Model

MOST_PAIRS = 128
FEWEST_EACH = 4
HELD_OUT = 4  # every so many sources, one is kept for the proof


def read_calibration(request: Request, frame: Frame) -> Calibration:
    """Read pairs spread evenly over a list; its last sources by name are kept for the proof.

    By name, because the pictures of one person usually follow each other.

    Args:
        request: the pair list, with its pictures and keypoints.
        frame: of the model that is calibrated.

    Raises:
        InputError: the list cannot be used, one of the pictures cannot, or there are too few.
    """
    job = make_job(request, Model(Path(), "", frame, "fp32", {}))
    step = -(-job.planned // MOST_PAIRS)
    items = [item for item in islice(job.items(), 0, None, step) if not _unusable(item)]
    sources = sorted({item.source for item in items})
    kept = set(sources[len(sources) - len(sources) // HELD_OUT :])
    ranges = [item for item in items if item.source not in kept]
    proof = [item for item in items if item.source in kept]
    if min(len(ranges), len(proof)) < FEWEST_EACH:
        raise InputError(
            f"{request.pairs}: {len(ranges)} pairs to calibrate on and {len(proof)}, of other "
            f"sources, to prove it on: at least {FEWEST_EACH} each are needed, with keypoints, "
            "which --keypoints or a keypoints.csv beside them give"
        )
    return Calibration(*(tuple(_read(item, job) for item in part) for part in (ranges, proof)))


def _unusable(item: Item) -> bool:
    return bool(item.unusable) or item.undetected


def _read(item: Item, job: Job) -> Batch:
    """The pair as the network sees it."""
    frame = job.model.frame
    try:
        size = picture_size(item.source_path)
        source = source_placed(item.source_pose, size, frame, job.fit)
        target_pose = target_placed(item, source, job).on_network
        picture = decode_picture(item.source_path.read_bytes())
    except InputError as error:
        raise InputError(f"{item.source} -> {item.target}: {error}") from error
    on_network = crop_to_network(picture, source.crop, frame.network_size)
    poses = source.on_network[np.newaxis], target_pose[np.newaxis]
    return Batch(on_network[np.newaxis], *poses, np.zeros(1, np.int64))
