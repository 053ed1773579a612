"""Where things that can be made again are kept for this user."""

import os
import tempfile
from pathlib import Path

CACHE_VARIABLE = "DPTN_CACHE"


def cache_folder() -> Path:
    """`$DPTN_CACHE`, else `dptn` in the user's cache folder.

    A user without a home, such as a container's that is a mere number, has one among the
    temporary files.
    """
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(os.path.expanduser(named))
    local = os.environ.get("LOCALAPPDATA") if os.name == "nt" else None
    folder = os.path.expanduser(local or os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    if folder.startswith("~"):
        user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
        return Path(tempfile.gettempdir()) / f"dptn{user}"
    return Path(folder) / "dptn"
