"""Inference through buffers that stay on the device, in a few fixed shapes.

For every new input shape cuDNN searches for algorithms and TensorRT builds an engine. So the
numbers of sources and of targets are padded to one of a few sizes, by repeating the last source
and target; the images of the padding are dropped. Inputs and outputs have buffers on the device,
allocated once for each size and then reused.

onnxruntime's Python API (1.31) offers no pinned host memory: it has no such device type, and no
allocator for the memory info `CudaPinned`. So copies go through pageable memory. They overlap
with inference only because one stream copies while another computes.
"""

from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from dptn_cli.types import Batch

OUT_OF_MEMORY = (  # in lower case, from messages of CUDA, cuDNN, onnxruntime's arena and C++
    "out of memory",
    "failed to allocate memory",
    "alloc_failed",
    "available memory",
    "bad allocation",
    "bad_alloc",
)


def padded_size(count: int) -> int:
    """Round a count up to one of 1, 2, 3, 4, 6, 8, 12, 16, 24, ..., at most 1.5 times the count."""
    size = 1 << (count - 1).bit_length()
    return size * 3 // 4 if count <= size * 3 // 4 else size


def pad(batch: Batch) -> Batch:
    """Repeat a batch's last source and last target until both counts are a padded size."""
    sources, targets = len(batch.sources), len(batch.target_poses)
    source_rows = np.minimum(np.arange(padded_size(sources)), sources - 1)
    target_rows = np.minimum(np.arange(padded_size(targets)), targets - 1)
    return Batch(
        batch.sources[source_rows],
        batch.source_poses[source_rows],
        batch.target_poses[target_rows],
        batch.source_index[target_rows],
    )


class BoundSession:
    """An onnxruntime session that runs through bound buffers. Safe to use from several threads.

    Args:
        session: a session of an exported model, on the device.
        device: `cuda`; `cpu` also works, for tests, but is no faster than a plain session.
        device_id: number of the GPU, from 0.
        streams: number of inferences that run at once, each with its own buffers. Other threads
            wait.
    """

    def __init__(
        self, session: ort.InferenceSession, device: str, *, device_id: int = 0, streams: int = 1
    ) -> None:
        self._session = session
        self._streams: SimpleQueue[_Stream] = SimpleQueue()
        for _ in range(streams):
            self._streams.put(_Stream(session, device, device_id))

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        """Generate the images of a batch. If memory runs out, retry without bound buffers.

        Returns:
            (T, H, W, 3) uint8 RGB at the network's size, an array that the caller owns.
        """
        stream = self._streams.get()
        try:
            return stream.run(batch)
        except Exception as error:  # onnxruntime's exceptions have no common base class.
            if not isinstance(error, MemoryError) and not is_out_of_memory(str(error)):
                raise
            stream.clear()
            (generated,) = self._session.run(["generated"], batch.feeds())
            return np.asarray(generated)
        finally:
            self._streams.put(stream)


class _Stream:
    """An IO binding and its buffers, kept by name and shape. Used by one thread at a time."""

    def __init__(self, session: ort.InferenceSession, device: str, device_id: int) -> None:
        self._session, self._device = session, (device, device_id)
        self._buffers: dict[tuple[str, tuple[int, ...]], Any] = {}
        self._binding = session.io_binding()

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        feeds = pad(batch).feeds()
        for name, array in feeds.items():
            buffer = self._buffer(name, array.shape, array.dtype)
            buffer.update_inplace(array)
            self._binding.bind_ortvalue_input(name, buffer)
        shape = (len(feeds["target_pose"]), *feeds["source"].shape[1:])
        generated = self._buffer("generated", shape, np.dtype(np.uint8))
        self._binding.bind_ortvalue_output("generated", generated)
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        # Copied: on the CPU, numpy() is a view of the buffer, which the next run overwrites.
        return np.array(generated.numpy()[: len(batch.target_poses)])

    def _buffer(self, name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Any:
        key = name, shape
        if key not in self._buffers:
            self._buffers[key] = ort.OrtValue.ortvalue_from_shape_and_type(
                shape, dtype.type, *self._device
            )
        return self._buffers[key]

    def clear(self) -> None:
        """Free the buffers."""
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()
        self._buffers.clear()


def is_out_of_memory(message: str) -> bool:
    """Return whether an error's message says that memory ran out."""
    return any(phrase in message.lower() for phrase in OUT_OF_MEMORY)
