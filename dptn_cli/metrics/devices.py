"""Where the learned metrics run, in full float32."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Device:
    """A torch device by its name."""

    name: str

    @contextlib.contextmanager
    def exact(self) -> Iterator[None]:
        """Full float32 while entered: TF32 would move a FID in the third digit."""
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
    """The GPU if there is one."""
    return Device("cuda" if torch.cuda.is_available() else "cpu")
