"""`run.json`: what a run was made with, and how it went."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from dptn_cli import __version__
from dptn_cli.enums import Status
from dptn_cli.errors import InputError
from dptn_cli.inference.session import onnxruntime_version
from dptn_cli.io.files import write_atomic
from dptn_cli.transfer.settings import StageSeconds
from dptn_cli.types import Job

NAME = "run.json"


@dataclass(frozen=True)
class RunJson:
    """One run's `run.json`, written when the run starts and again when it ends.

    Attributes:
        job: what is run.
        provider: where it really runs.
        batch_size: most images at once.
        workers: threads that decode and encode.
        started: UTC, ISO 8601.
    """

    job: Job
    provider: str
    batch_size: int
    workers: int
    started: str

    def start(self) -> None:
        """Write it with the state `running`."""
        self.write(self._head() | {"state": "running", "counts": {"planned": self.job.planned}})

    def finish(
        self,
        counts: Mapping[str, int],
        stages: StageSeconds,
        elapsed_s: float,
        *,
        interrupted: bool,
    ) -> dict[str, Any]:
        """The document with the results; `write` it.

        Raises:
            RuntimeError: outcomes are missing though nobody interrupted the run.
        """
        tally = {str(status): counts.get(status, 0) for status in Status}
        ended = sum(tally.values())
        if ended != self.job.planned and not interrupted:
            raise RuntimeError(f"{self.job.planned} items planned, but {ended} ended")
        return self._head() | {
            "state": "finished" if ended == self.job.planned else "interrupted",
            "finished": now(),
            "elapsed_s": round(elapsed_s, 3),
            "counts": {"planned": self.job.planned, **tally},
            "pictures_per_second": round(tally["done"] / max(elapsed_s, 1e-9), 3),
            "stage_seconds": {name: round(s, 3) for name, s in asdict(stages).items()},
        }

    def _head(self) -> dict[str, Any]:
        model = self.job.model
        return {
            "model": {
                "path": str(model.path),
                "sha256": model.sha256,
                "dataset": model.spec.dataset,
                "image_size": list(model.spec.image_size),
                "network_size": list(model.spec.network_size),
                "precision": model.precision,
                "target": model.target,
                "licence": model.metadata.get("licence", ""),
            },
            "target_folders": [str(folder) for folder in self.job.target_folders],
            "provider": self.provider,
            "batch_size": self.batch_size,
            "workers": self.workers,
            "jpeg_quality": self.job.jpeg_quality,
            "fit": str(self.job.fit),
            "retarget": str(self.job.retarget),
            "versions": versions(),
            "started": self.started,
        }

    def write(self, document: Mapping[str, Any]) -> None:
        """Write a document as `run.json`.

        Raises:
            InputError: it cannot be written.
        """
        path = self.job.out / NAME
        content = (json.dumps(document, indent=2) + "\n").encode()
        try:
            write_atomic(path, lambda file: file.write(content))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error


def versions() -> dict[str, str]:
    """What a result may depend on."""
    packages = {name: version(name) for name in ("numpy", "pillow")}
    return {
        "dptn": __version__,
        "python": platform.python_version(),
        "onnxruntime": onnxruntime_version(),
        **packages,
    }


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
