"""NVRTC, NVIDIA's run-time compiler, from the wheels of the extras cuda12 and cuda13.

The extension holds kernels compiled for today's GPUs. Where a driver cannot use them, it asks for NVRTC by its name, as
any program would; a wheel lies where no such search looks, so its libraries are loaded beforehand.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path

# The builtins first: the compiler looks for them by name when it is used.
_PATTERNS = ("libnvrtc-builtins.so.*", "libnvrtc.so.*", "nvrtc-builtins64_*.dll", "nvrtc64_*.dll")


def compiler_libraries() -> list[Path]:
    """NVRTC's libraries of one installed wheel, in the order in which they are loaded.

    CUDA 12's wheel comes before CUDA 13's: what it makes is understood by drivers of both. Of equals the first on Python's
    path counts.
    """
    found = importlib.util.find_spec("nvidia")
    places = list(found.submodule_search_locations or []) if found else []
    folders = [path for place in places for path in sorted(Path(place).glob("*/*")) if path.name in ("lib", "bin")]
    for folder in sorted(folders, key=lambda path: path.parent.name != "cuda_nvrtc"):
        libraries = [path for pattern in _PATTERNS for path in sorted(folder.glob(pattern)) if ".alt." not in path.name]
        if len(libraries) >= 2:
            return libraries
    return []


@functools.cache
def load_compiler() -> bool:
    """Loads NVRTC where a wheel with it is installed, and says whether it did. One that cannot be loaded is left alone:
    it is only needed where the driver refuses the kernels, and then the error says so."""
    libraries = compiler_libraries()
    try:
        for path in libraries:
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return bool(libraries)
