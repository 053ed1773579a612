"""Pose transfer with DPTN: show the person of a photo in another pose.

    from dptn_cli import PoseTransfer, read_poses

The names below are imported when they are first used, so that `dptn --help` stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dptn_cli.api import PoseTransfer as PoseTransfer
    from dptn_cli.api import detect_poses as detect_poses
    from dptn_cli.api import evaluate_results as evaluate_results
    from dptn_cli.api import read_poses as read_poses
    from dptn_cli.enums import Status as Status
    from dptn_cli.errors import DptnError as DptnError
    from dptn_cli.errors import InputError as InputError
    from dptn_cli.errors import MissingDependency as MissingDependency
    from dptn_cli.errors import ModelError as ModelError
    from dptn_cli.evaluate.types import Report as Report
    from dptn_cli.types import Outcome as Outcome

__version__ = "0.1.0"

_HOMES = {
    "DptnError": "errors",
    "InputError": "errors",
    "MissingDependency": "errors",
    "ModelError": "errors",
    "Outcome": "types",
    "PoseTransfer": "api",
    "Report": "evaluate.types",
    "Status": "enums",
    "detect_poses": "api",
    "evaluate_results": "api",
    "read_poses": "api",
}
__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the names of the table above


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
