"""KID by torch-fidelity."""

import numpy as np
import numpy.typing as npt
import torch

from dptn_cli.network.torchvision_compat import import_torchvision

SUBSETS = 100
SUBSET_SIZE = 1000


def kid(generated: npt.NDArray[np.float32], real: npt.NDArray[np.float32]) -> float:
    """Mean of the unbiased MMD^2 with a cubic kernel over subsets, as torch-fidelity draws them.

    Args:
        generated: (N, D) float32; may be a memory map, of which the subsets alone are read.
        real: (M, D) likewise.

    Returns:
        Around 0, also slightly below, for sets that are alike.
    """
    import_torchvision()
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    result = kid_features_to_metric(
        torch.from_numpy(generated),
        torch.from_numpy(real),
        kid_subsets=SUBSETS,
        kid_subset_size=min(SUBSET_SIZE, len(generated), len(real)),
        verbose=False,
    )
    return float(result[KEY_METRIC_KID_MEAN])
