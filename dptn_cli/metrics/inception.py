"""The two Inceptions: torchvision's, which the paper used, and TensorFlow's, the standard one.

Both turn (N, H, W, 3) uint8 images into (N, 2048) float32 features.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from dptn_cli.metrics.devices import Device
from dptn_cli.metrics.fid import FEATURE_WIDTH, FeatureNetwork
from dptn_cli.metrics.trained import check_finite, load_trained
from dptn_cli.metrics.weights import NETWORKS

INPUT_SIDE = 299


def load_inception(network: str, device: Device) -> FeatureNetwork:
    """Load one of the two Inceptions from torch.hub's cache.

    Args:
        network: `inception_published` or `inception_tensorflow`.
        device: where the network runs.

    Returns:
        The network; calling it raises ModelError if a feature is not finite.

    Raises:
        ModelError: the file does not hold the network's weights.
    """
    build = PublishedInception if network == "inception_published" else _tensorflow_inception
    model = load_trained(network, build).to(device.name).eval()

    def features(images_u8: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        images = torch.from_numpy(np.ascontiguousarray(images_u8)).to(device.name)
        with torch.inference_mode(), device.full_precision():
            result: torch.Tensor = model(images.permute(0, 3, 1, 2).contiguous())
        values: npt.NDArray[np.float32] = result.float().cpu().numpy()
        return check_finite(values, network)

    return features


class PublishedInception(torch.nn.Module):
    """torchvision's ImageNet Inception-v3, with the input range of the published code.

    torchvision's `transform_input` expects images that are normalised with ImageNet's mean and
    std, and undoes that. The published code passes images in 0..1 instead.

    Args:
        state: the weights, by tensor name.
    """

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__()
        from torchvision.models import inception_v3

        self.network = inception_v3(weights=None, transform_input=True, init_weights=False)
        self.network.load_state_dict(state)
        self.network.AuxLogits = None
        self.network.fc = torch.nn.Identity()

    def forward(self, images_u8: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) uint8 -> (N, 2048)."""
        x = images_u8.float() / 255
        x = F.interpolate(x, (INPUT_SIDE, INPUT_SIDE), mode="bilinear", align_corners=False)
        features: torch.Tensor = self.network(x)
        return features


class _TensorflowInception(torch.nn.Module):
    """torch-fidelity's feature extractor, which resizes and scales as TensorFlow did."""

    def __init__(self, weights: str) -> None:
        super().__init__()
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        self.network = FeatureExtractorInceptionV3(
            "inception-v3-compat", [str(FEATURE_WIDTH)], feature_extractor_weights_path=weights
        )

    def forward(self, images_u8: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) uint8 -> (N, 2048)."""
        features: torch.Tensor = self.network(images_u8)[0]
        return features


def _tensorflow_inception(_: dict[str, torch.Tensor]) -> _TensorflowInception:
    """Build the network from the file: torch-fidelity takes a path, not tensors."""
    return _TensorflowInception(str(NETWORKS["inception_tensorflow"].weights.path))
