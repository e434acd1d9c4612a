"""NVRTC is found where its wheels put it."""

import sys

from gbrl_rs import _cuda


def test_a_wheels_compiler_is_found_and_a_broken_one_is_left_alone(tmp_path, monkeypatch):
    def wheel(folder, *names):
        place = tmp_path / "nvidia" / folder / "lib"
        place.mkdir(parents=True)
        for name in names:
            (place / name).write_bytes(b"no library")

    wheel("cu13", "libnvrtc.so.13", "libnvrtc-builtins.so.13.0")
    wheel("cublas", "libcublas.so.12")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    found = [path.name for path in _cuda.compiler_libraries()]
    assert found == ["libnvrtc-builtins.so.13.0", "libnvrtc.so.13"]
    wheel("cuda_nvrtc", "libnvrtc.so.12", "libnvrtc.alt.so.12", "libnvrtc-builtins.so.12.9")
    found = [path.name for path in _cuda.compiler_libraries()]
    assert found == ["libnvrtc-builtins.so.12.9", "libnvrtc.so.12"]
    assert _cuda.load_compiler.__wrapped__() is False


def test_without_wheels_there_is_nothing_to_load(monkeypatch):
    monkeypatch.setattr(_cuda, "compiler_libraries", list)
    assert _cuda.load_compiler.__wrapped__() is False
