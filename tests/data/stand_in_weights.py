"""Stand-in weights for the learned metrics, in the layout of torch.hub's cache.

LPIPS does not use the classifiers of AlexNet and VGG-16. They are one value expanded to the shape
of the tensor, so that the files stay small.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from seeded_weights import seeded_tensor

from dptn_cli.metrics.weights import NETWORKS
from dptn_cli.network.torchvision_compat import import_torchvision


def write_stand_ins(torch_home: Path) -> None:
    """Write the weight files of all four networks below `torch_home`."""
    checkpoints = torch_home / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    models = import_torchvision().models
    with torch.device("meta"):
        networks = {
            "alex": models.alexnet(weights=None),
            "vgg": models.vgg16(weights=None),
            "inception_published": models.inception_v3(weights=None, init_weights=False),
            "inception_tensorflow": _tensorflow_inception(),
        }
    for name, network in networks.items():
        state = _seeded_state(name, network.state_dict())
        torch.save(state, checkpoints / NETWORKS[name].weights.name)


def _seeded_state(network: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: _seeded(network, name, tensor) for name, tensor in tensors.items()}


def _seeded(network: str, name: str, tensor: torch.Tensor) -> torch.Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    if name.startswith("classifier") and math.prod(tensor.shape) > 1_000_000:
        return torch.full((1,), 0.01).expand(tensor.shape)
    return torch.from_numpy(seeded_tensor(f"{network}.{name}", tuple(tensor.shape)))


def _tensorflow_inception() -> torch.nn.Module:
    """Build torch-fidelity's extractor without the weights that its constructor would download."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class WithoutWeights(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *_: object, **__: object) -> None:
            pass

    empty = Path(__file__).with_name("no_weights.pt")
    torch.save({}, empty)
    try:
        return WithoutWeights("stand-in", ["2048"], feature_extractor_weights_path=str(empty))
    finally:
        empty.unlink()
