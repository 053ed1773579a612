"""The detector that a user asked for: MoveNet, which is built in, or a checkpoint of openpifpaf."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dptn_cli.detect.detector import MOVENET, Detector, DetectorId
from dptn_cli.detect.movenet import MovenetDetector, movenet_sha256
from dptn_cli.detect.openpifpaf_checkpoint import (
    DEFAULT_CHECKPOINT,
    PUBLISHED,
    Checkpoint,
    checkpoint_sha256,
    find_checkpoint,
)
from dptn_cli.detect.openpifpaf_detector import OpenpifpafDetector
from dptn_cli.detect.openpifpaf_package import check_installed, is_installed
from dptn_cli.detect.people import PersonChoice
from dptn_cli.enums import Provider

AUTO, OPENPIFPAF = "auto", "openpifpaf"
DEFAULT_BATCH_SIZE = 8


@dataclass(frozen=True)
class SelectedDetector:
    """A detector that was selected, and is not loaded yet.

    Attributes:
        name: `movenet`, or the checkpoint of openpifpaf, a published name or a file.
        checkpoint: the checkpoint; None for MoveNet.
    """

    name: str
    checkpoint: Checkpoint | None = None

    @property
    def title(self) -> str:
        """What to call it in a message."""
        return "MoveNet (built in)" if self.checkpoint is None else f"openpifpaf ({self.name})"

    @property
    def path(self) -> Path | None:
        """The file of the checkpoint, which may be missing; None for MoveNet."""
        return self.checkpoint.path if self.checkpoint else None

    def require(
        self, *, download_weights: bool = False, announce: Callable[[str], object] = lambda _: None
    ) -> None:
        """Make sure that it can be loaded, after downloading its weights if that is allowed.

        Args:
            download_weights: download the checkpoint if it is missing.
            announce: called with a message before a download starts.

        Raises:
            InputError: the checkpoint is missing and must not be downloaded, or the download
                failed.
            MissingDependency: openpifpaf is needed and not installed.
        """
        if self.checkpoint is not None:
            check_installed()
            self.checkpoint.require(download_weights=download_weights, announce=announce)

    def read_id(self) -> DetectorId:
        """Return what the detector will be known by in logs.

        Raises:
            ModelError: a file of its networks cannot be read.
        """
        path = self.path
        return DetectorId(self.name, movenet_sha256() if path is None else checkpoint_sha256(path))

    def load(
        self,
        choice: PersonChoice | None = None,
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        provider: Provider = Provider.AUTO,
    ) -> Detector:
        """Load it.

        Args:
            choice: the rules by which one person is chosen in each image; None: the defaults.
            batch_size: maximum number of images per batch of openpifpaf.
            provider: where MoveNet runs: `AUTO`, `CUDA` or `TENSORRT` to take CUDA if it works;
                any other for the CPU.

        Raises:
            ModelError: its networks cannot be used.
            MissingDependency: openpifpaf is needed and not installed.
        """
        if self.checkpoint is None:
            return MovenetDetector(choice, provider=provider)
        return OpenpifpafDetector(
            self.checkpoint.path, choice, batch_size=batch_size, name=self.name
        )


def select_detector(
    detector: str, *, download_weights: bool = False, option: str = "--detector"
) -> SelectedDetector:
    """Select the detector that a value of `--detector` stands for.

    Args:
        detector: `auto` is openpifpaf if it is installed with a published checkpoint, else
            MoveNet. `movenet` and `openpifpaf` name one of the two. Anything else is a checkpoint
            of openpifpaf, a published name or a file.
        download_weights: whether a missing published checkpoint may be downloaded, so that `auto`
            counts it as present.
        option: the option that the user gave it with, for error messages.

    Raises:
        InputError: it is none of these.
    """
    if detector.lower() in (AUTO, OPENPIFPAF, MOVENET):
        detector = detector.lower()
    if detector == AUTO:
        has_checkpoint = download_weights or _present_checkpoint() is not None
        detector = OPENPIFPAF if is_installed() and has_checkpoint else MOVENET
    if detector == MOVENET:
        return SelectedDetector(MOVENET)
    if detector == OPENPIFPAF:
        detector = _present_checkpoint() or DEFAULT_CHECKPOINT
    return SelectedDetector(detector, find_checkpoint(detector, option))


def _present_checkpoint() -> str | None:
    """Return the name of a published checkpoint on this machine, the default one first."""
    names = sorted(PUBLISHED, key=lambda name: name != DEFAULT_CHECKPOINT)
    return next((name for name in names if Path(PUBLISHED[name].path).is_file()), None)
