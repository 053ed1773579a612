"""The import of torchvision, made to work with a torch that was built without CUDA."""

from types import ModuleType
from typing import Any

# torch removes the operators when their library object is garbage-collected.
_libraries: list[Any] = []


def import_torchvision() -> ModuleType:
    """Import torchvision.

    PyPI's torchvision is compiled against a torch with CUDA. With a CPU-only torch, its compiled
    part does not load, and the import fails at the first operator of that part. It is enough to
    declare the operators, because dptn never runs them.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: the import failed for another reason.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        _declare_operators()
        import torchvision
    module: ModuleType = torchvision
    return module


def _declare_operators() -> None:
    import torch

    library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _libraries.append(library)
