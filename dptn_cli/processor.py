"""What this machine's processor can do."""

import os
import platform
import re
from pathlib import Path

MAX_CPU_STREAMS = 8  # each holds a batch's activations, about 60 MB an image of 256x256

# Flags of /proc/cpuinfo, on x86 and on ARM, and what they stand for.
_ABILITIES = {
    "AVX2": {"avx2"},
    "AVX-512": {"avx512f"},
    "VNNI": {"avx512_vnni", "avx_vnni"},
    "bf16": {"avx512_bf16", "amx_bf16", "bf16"},
    "AMX": {"amx_tile"},
}
_CPUINFO = Path("/proc/cpuinfo")


def available_cores() -> int:
    """Count the CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name() -> str:
    """Return the name of the processor, or of its architecture if the system does not tell."""
    match = re.search(r"^model name\s*:\s*(.+)$", _read_cpuinfo(), re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()


def processor_abilities() -> tuple[str, ...]:
    """List the instruction sets that matter for inference: AVX2, AVX-512, VNNI, bf16 and AMX.

    Returns:
        The ones this processor has; empty where the system does not tell.
    """
    match = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", _read_cpuinfo(), re.MULTILINE)
    flags = set(match[1].split()) if match else set()
    return tuple(name for name, names in _ABILITIES.items() if flags & names)


def _read_cpuinfo() -> str:
    try:
        return _CPUINFO.read_text(errors="replace")
    except OSError:  # not Linux
        return ""
