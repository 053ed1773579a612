"""Statistics of a real set in place of its images: the `.npz` of pytorch-fid and torch-fidelity."""

import zipfile
from pathlib import Path

import numpy as np

from dptn_cli.errors import InputError, user_errors
from dptn_cli.metrics.fid import FEATURE_WIDTH, Gaussian, factor_of

MEAN, COVARIANCE = "mu", "sigma"
MAX_BYTES = 2 * FEATURE_WIDTH * FEATURE_WIDTH * 8  # of the file, and of each array in it


def read_statistics(path: Path) -> Gaussian:
    """Read the mean and the covariance of the features of the standard FID.

    Args:
        path: a NumPy archive with `mu`, (2048,), and `sigma`, (2048, 2048).

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    wanted = f"{MEAN} ({FEATURE_WIDTH},) and {COVARIANCE} ({FEATURE_WIDTH}, {FEATURE_WIDTH})"
    problem = InputError(
        f"{path}: not the statistics of a real set, a .npz with {wanted}; give such a file, or a "
        "folder of images"
    )
    with user_errors(path):
        if path.stat().st_size > MAX_BYTES:
            raise problem
    try:
        with zipfile.ZipFile(path) as archive:
            if any(entry.file_size > MAX_BYTES for entry in archive.infolist()):
                raise problem
        with np.load(path, allow_pickle=False) as arrays:
            mean = np.asarray(arrays[MEAN], np.float64)
            covariance = np.asarray(arrays[COVARIANCE], np.float64)
    except InputError:
        raise
    except Exception as error:  # a damaged archive raises nearly anything
        raise problem from error
    right_shapes = (mean.shape, covariance.shape) == (
        (FEATURE_WIDTH,),
        (FEATURE_WIDTH, FEATURE_WIDTH),
    )
    if not right_shapes or not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise problem
    # The files do not tell of how many images they are.
    return Gaussian(mean, factor_of((covariance + covariance.T) / 2), FEATURE_WIDTH)
