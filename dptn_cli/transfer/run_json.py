"""`run.json`: what a run was made with, and how it went."""

import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from dptn_cli import __version__
from dptn_cli.enums import Arithmetic, Status
from dptn_cli.errors import user_errors
from dptn_cli.inference.session import onnxruntime_version
from dptn_cli.io.files import write_atomic
from dptn_cli.io.results_folder import RUN_NAME
from dptn_cli.transfer.settings import StageSeconds
from dptn_cli.types import Job


@dataclass(frozen=True)
class RunJson:
    """The `run.json` of one run, written when the run starts and again when it ends.

    Attributes:
        job: the job that is run.
        provider: the provider that the session really uses.
        batch_size: maximum number of targets in one inference.
        workers: number of threads that decode and encode.
        started: when the run started, UTC in ISO 8601.
        arithmetic_psnr_db: as in `run.Executor`.
    """

    job: Job
    provider: str
    batch_size: int
    workers: int
    started: str
    arithmetic_psnr_db: float | None = None

    def write_started(self) -> None:
        """Write the file with the state `running`.

        Raises:
            InputError: it cannot be written.
        """
        self.write(self._head() | {"state": "running", "counts": {"planned": self.job.planned}})

    def finished(
        self,
        counts: Mapping[str, int],
        stages: StageSeconds,
        elapsed_s: float,
        *,
        known_failures: int = 0,
        interrupted: bool = False,
        stop_reason: str = "",
    ) -> dict[str, Any]:
        """Return the document of a run that has ended; pass it to `write`.

        Args:
            counts: number of outcomes by status.
            stages: time spent in each stage.
            elapsed_s: duration of the run, seconds.
            known_failures: number of items that failed as in an earlier run.
            interrupted: whether somebody stopped the run.
            stop_reason: why the run could not go on; empty if it could.
        """
        by_status = {str(status): counts.get(status, 0) for status in Status}
        ended = sum(by_status.values())
        is_cut = interrupted and ended != self.job.planned
        return self._head() | {
            "state": "stopped" if stop_reason else "interrupted" if is_cut else "finished",
            "stop_reason": stop_reason,
            "finished": utc_now(),
            "elapsed_s": round(elapsed_s, 3),
            "counts": {"planned": self.job.planned, **by_status},
            "known_failures": known_failures,
            "pictures_per_second": round(by_status["done"] / max(elapsed_s, 1e-9), 3),
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
                "target": model.runtime,
                "licence": model.metadata.get("licence", ""),
            },
            "notes": list(self.job.notes),
            "request": dict(self.job.request),
            "target_folders": [str(folder) for folder in self.job.target_folders],
            "provider": self.provider,
            "arithmetic": self._arithmetic(),
            "arithmetic_psnr_db": self.arithmetic_psnr_db and round(self.arithmetic_psnr_db, 2),
            "batch_size": self.batch_size,
            "workers": self.workers,
            "jpeg_quality": self.job.jpeg_quality,
            "fit": str(self.job.fit),
            "retarget": str(self.job.retarget),
            "versions": package_versions(),
            "started": self.started,
        }

    def _arithmetic(self) -> str:
        is_own = self.job.arithmetic is Arithmetic.MODEL
        return self.job.model.precision if is_own else str(self.job.arithmetic)

    def write(self, document: Mapping[str, Any]) -> None:
        """Write a document as `run.json`.

        Raises:
            InputError: it cannot be written.
        """
        path = self.job.out / RUN_NAME
        content = (json.dumps(document, indent=2) + "\n").encode()
        with user_errors(path):
            write_atomic(path, lambda file: file.write(content))


def package_versions() -> dict[str, str]:
    """Return the versions of everything that a result may depend on, by package."""
    packages = {name: version(name) for name in ("numpy", "pillow")}
    with suppress(PackageNotFoundError):
        packages["openvino"] = version("openvino")
    return {
        "dptn": __version__,
        "python": platform.python_version(),
        "onnxruntime": onnxruntime_version(),
        **packages,
    }


def utc_now() -> str:
    """Return the time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
