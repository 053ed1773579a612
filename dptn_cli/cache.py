"""Where things that can be made again are kept for this user."""

import os
from pathlib import Path

CACHE_VARIABLE = "DPTN_CACHE"


def cache_folder() -> Path:
    """`$DPTN_CACHE`, else `dptn` in the user's cache folder."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named).expanduser()
    local = os.environ.get("LOCALAPPDATA") if os.name == "nt" else None
    return Path(local or os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dptn"
