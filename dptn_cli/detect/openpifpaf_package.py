"""The openpifpaf package: the commands that install it, and its import."""

import importlib.util
from typing import Any

from dptn_cli.errors import MissingDependency
from dptn_cli.network.torchvision_compat import import_torchvision

VERSION = "0.13.11"


def install_commands() -> tuple[str, ...]:
    """Return the shell commands that install openpifpaf.

    It takes two, because openpifpaf pins an old torch and must be installed without its
    dependencies.
    """
    return (
        "pip install 'dptn-cli[pose]' setuptools wheel",
        f"pip install --no-build-isolation --no-deps --no-cache-dir openpifpaf=={VERSION}",
    )


def check_installed(feature: str = "pose detection with openpifpaf") -> None:
    """Make sure that openpifpaf is installed, without importing it.

    Args:
        feature: what needs it, for the error message.

    Raises:
        MissingDependency: it is not installed.
    """
    if not is_installed():
        raise MissingDependency(feature, "openpifpaf", " && ".join(install_commands()))


def import_openpifpaf() -> Any:
    """Import openpifpaf, after preparing torchvision for it.

    Raises:
        MissingDependency: openpifpaf or one of its dependencies is not installed.
    """
    try:
        import_torchvision()
        import openpifpaf
    except ImportError as error:
        commands = " && ".join(install_commands())
        raise MissingDependency("pose detection", error.name or "openpifpaf", commands) from error
    return openpifpaf


def is_installed() -> bool:
    """Return whether openpifpaf is installed, without importing it."""
    return importlib.util.find_spec("openpifpaf") is not None
