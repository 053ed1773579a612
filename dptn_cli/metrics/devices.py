"""The torch device of the learned metrics, which run in full float32."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Device:
    """A torch device.

    Attributes:
        name: torch's name of the device, such as `cuda` or `cpu`.
    """

    name: str

    @contextlib.contextmanager
    def full_precision(self) -> Iterator[None]:
        """Turn TF32 off inside the block: it would change the third digit of an FID."""
        matmul = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = False
        try:
            with torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=False
            ):
                yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = matmul


def pick_device() -> Device:
    """Return the GPU if there is one, else the CPU."""
    return Device("cuda" if torch.cuda.is_available() else "cpu")
