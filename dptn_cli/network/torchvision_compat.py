"""Import torchvision, even a CUDA build of it beside a CPU build of torch."""

from types import ModuleType
from typing import Any

# torch drops a library's operators when the library object is collected, so it is kept here.
_libraries: list[Any] = []


def import_torchvision() -> ModuleType:
    """Import torchvision.

    The torchvision on PyPI is built for torch with CUDA. Beside a CPU build of torch its compiled
    extension does not load, and its import fails at the first operator of that extension.
    Declaring the operators is enough for everything except running them, and dptn runs none.

    Raises:
        ImportError: torchvision is not installed.
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
    _libraries.append(library)
