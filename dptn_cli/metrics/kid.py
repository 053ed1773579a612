"""KID by torch-fidelity."""

import numpy as np
import numpy.typing as npt
import torch

from dptn_cli.metrics.protocols import KID_SUBSET_SIZE, KID_SUBSETS
from dptn_cli.network.torchvision_compat import import_torchvision


def kid(generated: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> float:
    """Return the mean of the unbiased MMD^2 with a cubic kernel over torch-fidelity's subsets.

    The subsets are drawn with torch-fidelity's fixed seed. KID is from Binkowski et al. (2018).

    Args:
        generated: (N, D) float32; may be a memory map, of which only the subsets are read.
        reference: (M, D) float32; may be a memory map too.

    Returns:
        About 0 for sets that are alike, which includes values slightly below 0.
    """
    import_torchvision()
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    result = kid_features_to_metric(
        torch.from_numpy(generated),
        torch.from_numpy(reference),
        kid_subsets=KID_SUBSETS,
        kid_subset_size=min(KID_SUBSET_SIZE, len(generated), len(reference)),
        verbose=False,
    )
    return float(result[KEY_METRIC_KID_MEAN])
