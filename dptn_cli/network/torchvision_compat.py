"""The one place where torchvision is imported, so that it works beside a torch without CUDA."""

from types import ModuleType
from typing import Any

_declared: list[Any] = []  # Kept alive: the operators go with the library object.


def import_torchvision() -> ModuleType:
    """Import torchvision.

    The registry's torchvision is compiled for CUDA's torch; beside a CPU torch its compiled
    part does not load and its import fails at the first operator of that part. Declaring the
    operators is enough for everything but running them, and nothing here runs them.

    Raises:
        ImportError: it is not installed.
        RuntimeError: the import fails for another reason.
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
    _declared.append(library)
