"""Agreement of the processes of a training, so that none waits for one that has ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from accelerate import Accelerator
from torch import Tensor

from dptn_cli.errors import DptnError, InputError


def any_process(accelerator: Accelerator, flag: bool) -> bool:
    """Return whether the flag is set in any process. All processes must call this."""
    if accelerator.num_processes == 1:
        return flag
    value = torch.tensor([float(flag)], device=accelerator.device)
    return bool(cast(Tensor, accelerator.reduce(value, "sum")).item())


@contextmanager
def failing_together(
    accelerator: Accelerator, kind: type[DptnError] = InputError
) -> Iterator[None]:
    """Raise an error in all processes if the block raises an expected one in any of them.

    All processes must enter the block, and must not communicate in it.

    Args:
        accelerator: from `connect`.
        kind: the error to raise in the other processes.

    Raises:
        DptnError: of this process; `kind` if another process failed.
    """
    error: DptnError | None = None
    try:
        yield
    except DptnError as own_error:
        error = own_error
    if any_process(accelerator, error is not None):
        raise error or kind("another process of this training failed; see its message")
