"""Inference through buffers that stay on the device, in a few fixed shapes.

cuDNN looks for its algorithms anew for every input shape, and TensorRT builds an engine: so the
numbers of sources and of targets are each padded up to the next of a few sizes, by repeating the
last one, and the images of the padding are thrown away. Inputs and outputs have buffers on the
device, made once for each size and used again and again.

onnxruntime's Python interface (1.31) gives no pinned host memory: it knows no such device type,
and finds no allocator for the memory info `CudaPinned`. So copies go through pageable memory, and
overlap with inference only by one lane copying while another runs.
"""

from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from dptn_cli.types import Batch

OUT_OF_MEMORY = (  # of CUDA, cuDNN, onnxruntime's arena and C++
    "out of memory",
    "failed to allocate memory",
    "alloc_failed",
    "available memory",
    "bad allocation",
    "bad_alloc",
)


def padded_size(count: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 12, 16, 24, ...: at most half as many again."""
    size = 1 << (count - 1).bit_length()
    return size * 3 // 4 if count <= size * 3 // 4 else size


def padded(batch: Batch) -> Batch:
    """The batch with its last source and its last target repeated up to the next sizes."""
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
    """A session that is run through bound buffers, from several threads.

    Args:
        session: of the ONNX contract.
        device: `cuda`; or `cpu`, where all of it works and nothing is gained.
        device_id: which GPU.
        streams: runs at once; each has buffers of its own. Further threads wait.
    """

    def __init__(
        self, session: ort.InferenceSession, device: str, *, device_id: int = 0, streams: int = 1
    ) -> None:
        self._session = session
        self._streams: SimpleQueue[_Stream] = SimpleQueue()
        for _ in range(streams):
            self._streams.put(_Stream(session, device, device_id))

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        """Make the batch's images, without bound buffers where there is no memory for them.

        Returns:
            (T, H, W, 3) uint8 RGB, of the caller's own.
        """
        stream = self._streams.get()
        try:
            return stream.run(batch)
        except Exception as error:  # onnxruntime's own exceptions have no common base.
            if not _is_out_of_memory(error):
                raise
            stream.clear()
            (generated,) = self._session.run(["generated"], batch.feeds())
            return np.asarray(generated)
        finally:
            self._streams.put(stream)


class _Stream:
    """A binding and its buffers, by name and size. Used by one thread at a time."""

    def __init__(self, session: ort.InferenceSession, device: str, device_id: int) -> None:
        self._session, self._device = session, (device, device_id)
        self._buffers: dict[tuple[str, tuple[int, ...]], Any] = {}
        self._binding = session.io_binding()

    def run(self, batch: Batch) -> npt.NDArray[np.uint8]:
        feeds = padded(batch).feeds()
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
        # On the CPU numpy() is a view of the buffer, which the next run fills.
        return np.array(generated.numpy()[: len(batch.target_poses)])

    def _buffer(self, name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Any:
        key = name, shape
        if key not in self._buffers:
            self._buffers[key] = ort.OrtValue.ortvalue_from_shape_and_type(
                shape, dtype.type, *self._device
            )
        return self._buffers[key]

    def clear(self) -> None:
        """Give the memory back."""
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()
        self._buffers.clear()


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in OUT_OF_MEMORY)
