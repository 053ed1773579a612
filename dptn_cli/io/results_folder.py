"""The names of dptn's own files in a results folder."""

import re

MANIFEST_NAME = "manifest.jsonl"
RUN_NAME = "run.json"
KEYPOINTS_NAME = "keypoints.csv"
CONTACT_SHEETS_FOLDER = "grids"
TEMPORARY_PREFIX = ".dptn-"
"""How the names of files begin that are still being written."""

_CONTACT_SHEET = re.compile(rf"{CONTACT_SHEETS_FOLDER}/page-\d+\.png", re.IGNORECASE)


def is_contact_sheet(name: str) -> bool:
    """Return whether a relative name in a results folder is that of a contact sheet.

    Contact sheets are overwritten and removed by later runs, so no result may have such a name.
    """
    return _CONTACT_SHEET.fullmatch(name) is not None
