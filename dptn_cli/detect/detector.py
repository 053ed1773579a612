"""What every pose detector offers, whichever package its networks run in."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from dptn_cli.detect.people import Detection, PersonChoice
from dptn_cli.errors import InputError, MachineLimit

MOVENET = "movenet"
# Measured on drawn figures: of MoveNet's joints with less, two thirds are more than 5 % of the
# person's height off. openpifpaf's is its own default.
MIN_CONFIDENCE_MOVENET, MIN_CONFIDENCE_OPENPIFPAF = 0.25, 0.15


class DetectorId(NamedTuple):
    """What distinguishes one detector from another.

    Attributes:
        name: `movenet`, or the checkpoint of openpifpaf as the user named it; empty in logs of
            older versions, which knew only openpifpaf.
        sha256: SHA-256 of its networks, as hexadecimal digits.
    """

    name: str
    sha256: str

    @property
    def min_confidence(self) -> float:
        """Confidence, 0 to 1, below which most of its joints are in the wrong place."""
        return MIN_CONFIDENCE_MOVENET if self.name == MOVENET else MIN_CONFIDENCE_OPENPIFPAF


class Detector(Protocol):
    """A pose detector that is loaded and ready to run.

    Attributes:
        id: which detector it is.
        device: where it runs, `cuda` or `cpu`.
        choice: the rules by which one person is chosen in each image.
    """

    id: DetectorId
    device: str
    choice: PersonChoice

    def detect(self, images: Iterable[tuple[str, Path]]) -> Iterator[Detection]:
        """Detect the people in images and choose one in each.

        Args:
            images: the name and the file of each image.

        Yields:
            One detection per image, not in the order of `images`. If an image cannot be read, its
            detection has the reason. A detection does not depend on the images beside it.
        """
        ...


def read_failure(name: str, error: OSError | InputError) -> Detection:
    """Return the detection of an image that cannot be read."""
    if isinstance(error, OSError):
        return Detection(name, reason=error.strerror or str(error), is_transient=True)
    return Detection(name, reason=str(error), is_transient=isinstance(error, MachineLimit))
