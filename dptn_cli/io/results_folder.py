"""The names of dptn's own files in a results folder."""

import re

MANIFEST_NAME = "manifest.jsonl"
RUN_NAME = "run.json"
UNLISTED_NAME = "unlisted.jsonl"
"""The manifest's lines of results that an earlier list had and the last one does not have."""
KEYPOINTS_NAME = "keypoints.csv"
RECORD_SUFFIX = ".record.jsonl"
"""How the name of a detection log ends, after the name of its pose file."""
LOCK_PREFIX = ".dptn-lock-"
"""How the names of files begin that keep other runs out where the file system has no locks."""
CONTACT_SHEETS_FOLDER = "grids"
TEMPORARY_PREFIX = ".dptn-"
"""How the names of files begin that are still being written."""
TEMPORARY_SUFFIX = ".part"
"""How they end."""

# mkstemp's eight letters and digits (older versions wrote no suffix), or a UUID on a remote store.
_TEMPORARY = re.compile(
    r"\.dptn-(?:[a-z0-9_]{8}\.part|(?=[a-z_]*[0-9])[a-z0-9_]{8}|[0-9a-f]{32}(?:\.part)?)"
)
_CONTACT_SHEET = re.compile(rf"{CONTACT_SHEETS_FOLDER}/page-\d+\.png", re.IGNORECASE)


def is_contact_sheet(name: str) -> bool:
    """Return whether a relative name in a results folder is that of a contact sheet.

    Contact sheets are overwritten and removed by later runs, so no result may have such a name.
    """
    return _CONTACT_SHEET.fullmatch(name) is not None


def is_temporary(name: str) -> bool:
    """Return whether a file's name is exactly one that dptn gives to files it is still writing.

    A killed run leaves such files, and the next one removes them: `.dptn-notes` is not ours.
    """
    return _TEMPORARY.fullmatch(name) is not None
