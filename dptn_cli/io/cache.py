"""The folder for files that dptn can create again: measurements, TensorRT engines, manifests."""

import os
import tempfile
from pathlib import Path

CACHE_VARIABLE = "DPTN_CACHE"


def cache_folder() -> Path:
    """Return `$DPTN_CACHE`, or else `dptn` in the user's cache folder.

    A user without a home folder, such as a container's bare user number, gets a folder among the
    temporary files.
    """
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(os.path.expanduser(named))
    local = os.environ.get("LOCALAPPDATA") if os.name == "nt" else None
    folder = os.path.expanduser(local or os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    if folder.startswith("~"):  # expanduser found no home
        user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
        return Path(tempfile.gettempdir()) / f"dptn{user}"
    return Path(folder) / "dptn"
