"""Numbers of a run, to a table, to CSV, to JSON lines and to TensorBoard, with Stable-Baselines3's names and keys.

Example:
    >>> from gbrl_rs.logger import configure
    >>> model.set_logger(configure("logs/", ["stdout", "csv", "tensorboard"]))
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import os
import struct
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np

DEBUG = 10
INFO = 20
WARN = 30
ERROR = 40
DISABLED = 50

Values = Mapping[str, Any]
Excluded = Mapping[str, tuple[str, ...]]


class Figure:
    """A matplotlib figure to be recorded, for TensorBoard.

    Args:
        figure: the figure.
        close: whether to close it once it is written.
    """

    def __init__(self, figure: Any, close: bool = True) -> None:
        self.figure, self.close = figure, close


class Image:
    """A picture to be recorded, for TensorBoard.

    Args:
        image: an array, uint8, or numbers from 0 to 1.
        dataformats: what its axes are: "HWC", "CHW" or "HW".
    """

    def __init__(self, image: Any, dataformats: str = "HWC") -> None:
        self.image, self.dataformats = image, dataformats


class KVWriter(Protocol):
    """What writes the numbers of one dump."""

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Writes all numbers whose key does not exclude this format."""

    def close(self) -> None:
        """Closes the file."""


class HumanOutputFormat:
    """A table for people; what stands before a key's first slash groups the rows.

    Args:
        filename_or_file: a path, or an open text file, which stays open.
        max_length: keys and values are cut to this many characters.
    """

    def __init__(self, filename_or_file: str | TextIO, max_length: int = 36) -> None:
        self.max_length = max_length
        self._owned = isinstance(filename_or_file, str)
        self.file: TextIO = open(filename_or_file, "w") if isinstance(filename_or_file, str) else filename_or_file

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Writes the table.

        Raises:
            ValueError: when two keys look the same after being cut.
        """
        rows: dict[tuple[str, str], str] = {}
        group = ""
        for key, value in sorted(_kept(key_values, key_excluded, "stdout", "log")):
            head, slash, _ = key.partition("/")
            if slash and head != group:
                group = head
                rows[group, self._cut(group + "/")] = ""
            elif not slash:
                group = ""
            shown = self._cut("   " + key[len(head) + 1 :] if slash else key)
            if (group, shown) in rows:
                raise ValueError(
                    f"Key '{key}' truncated to '{shown}' that already exists. Consider increasing `max_length`."
                )
            rows[group, shown] = self._cut(_shown(value))
        if not rows:
            return
        left = max(len(name) for _, name in rows)
        right = max(len(value) for value in rows.values())
        rule = "-" * (left + right + 7)
        lines = [f"| {name:<{left}} | {value:<{right}} |" for (_, name), value in rows.items()]
        self.file.write("\n".join([rule, *lines, rule]) + "\n")
        self.file.flush()

    def write_sequence(self, sequence: Sequence[str]) -> None:
        """Writes words on one line."""
        self.file.write(" ".join(sequence) + "\n")
        self.file.flush()

    def close(self) -> None:
        """Closes the file if it was opened here."""
        if self._owned:
            self.file.close()

    def _cut(self, text: str) -> str:
        return text if len(text) <= self.max_length else text[: self.max_length - 3] + "..."


class JSONOutputFormat:
    """One JSON object per dump and line; numbers that JSON does not know become null."""

    def __init__(self, filename: str) -> None:
        self.file = open(filename, "w")

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Appends a line."""
        values = {key: _json_value(value) for key, value in _kept(key_values, key_excluded, "json")}
        self.file.write(json.dumps(values) + "\n")
        self.file.flush()

    def close(self) -> None:
        """Closes the file."""
        self.file.close()


class CSVOutputFormat:
    """A column per key. A key that is new later widens the table; earlier rows stay empty there."""

    def __init__(self, filename: str) -> None:
        self.file = open(filename, "w+", newline="")
        self.keys: list[str] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Appends a row."""
        values = dict(_kept(key_values, key_excluded, "csv"))
        new = [key for key in values if key not in self.keys]
        if new:
            self._widen(new)
        csv.writer(self.file, lineterminator="\n").writerow(
            ["" if values.get(key) is None else values[key] for key in self.keys]
        )
        self.file.flush()

    def close(self) -> None:
        """Closes the file."""
        self.file.close()

    def _widen(self, new: list[str]) -> None:
        self.file.seek(0)
        rows = list(csv.reader(self.file))[1:]
        self.keys += new
        self.file.seek(0)
        self.file.truncate()
        writer = csv.writer(self.file, lineterminator="\n")
        writer.writerow(self.keys)
        writer.writerows(row + [""] * (len(self.keys) - len(row)) for row in rows)


class TensorBoardOutputFormat:
    """Events for TensorBoard, written by the package `tensorboard` alone; torch is not needed.

    Raises:
        ImportError: when `tensorboard` is not installed (``pip install tensorboard``).
    """

    def __init__(self, folder: str) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2  # type: ignore[import-not-found,import-untyped,unused-ignore]
            from tensorboard.summary.writer.event_file_writer import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
                EventFileWriter,
            )
        except ImportError as error:
            raise ImportError("expected the package tensorboard: pip install tensorboard") from error
        self._event, self._summary, self._session = event_pb2.Event, summary_pb2.Summary, event_pb2.SessionLog
        self._metadata, self._tensor = summary_pb2.SummaryMetadata, tensor_pb2.TensorProto
        self._warned: set[str] = set()
        self.writer = EventFileWriter(folder)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Writes all numbers, texts and pictures; warns once about what else there is."""
        values = [
            value
            for key, item in _kept(key_values, key_excluded, "tensorboard")
            if (value := self._value(key, item)) is not None
        ]
        self.writer.add_event(self._event(wall_time=time.time(), step=step, summary=self._summary(value=values)))
        self.writer.flush()

    def forget_after(self, step: int) -> None:
        """Tells TensorBoard to show nothing of earlier files after `step`: a run that goes on writes it again."""
        # Events from this step on are forgotten.
        started = self._session(status=self._session.START)
        self.writer.add_event(self._event(wall_time=time.time(), step=step + 1, session_log=started))

    def _value(self, key: str, item: Any) -> Any:
        if _is_number(item):
            return self._summary.Value(tag=key, simple_value=float(item))
        if item is None:
            return None
        kind = type(item).__name__
        if isinstance(item, str):
            plugin = self._metadata(plugin_data=self._metadata.PluginData(plugin_name="text"))
            tensor = self._tensor(dtype="DT_STRING", string_val=[item.encode()])
            tensor.tensor_shape.dim.add(size=1)
            return self._summary.Value(tag=f"{key}/text_summary", metadata=plugin, tensor=tensor)
        # SB3's classes of these names too.
        if kind == "Figure" and hasattr(item, "figure"):
            return self._summary.Value(tag=key, image=self._picture(*_drawn(item)))
        if kind == "Image" and hasattr(item, "dataformats"):
            return self._summary.Value(tag=key, image=self._picture(*_png(_pixels(item))))
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(
                f"TensorBoard: expected numbers, texts, Figure or Image, got {kind} as {key}; it is left out",
                UserWarning,
                stacklevel=2,
            )
        return None

    def _picture(self, data: bytes, height: int, width: int) -> Any:
        return self._summary.Image(encoded_image_string=data, height=height, width=width, colorspace=3)

    def close(self) -> None:
        """Closes the file."""
        self.writer.close()


class Logger:
    """Collects numbers and hands them to the formats at each :meth:`dump`.

    Args:
        folder: where the files lie; None if there are none.
        output_formats: what writes.

    Attributes:
        name_to_value: what was recorded since the last dump.
    """

    def __init__(self, folder: str | None, output_formats: Sequence[KVWriter]) -> None:
        self.name_to_value: dict[str, Any] = {}
        self.name_to_count: dict[str, int] = {}
        self.name_to_excluded: dict[str, tuple[str, ...]] = {}
        self.level = INFO
        self.dir = folder
        self.output_formats = list(output_formats)

    def record(self, key: str, value: Any, exclude: str | tuple[str, ...] | None = None) -> None:
        """Remembers a value until the next dump; a second one under the same key replaces the first.

        Args:
            key: "group/name".
            value: a number or a text.
            exclude: formats that are not to write it: "stdout", "log", "csv", "json", "tensorboard".
        """
        self.name_to_value[key] = value
        self.name_to_excluded[key] = _excluded(exclude)

    def record_mean(self, key: str, value: float | None, exclude: str | tuple[str, ...] | None = None) -> None:
        """Remembers the mean of all values under a key since the last dump; None changes nothing."""
        if value is None:
            return
        count = self.name_to_count.get(key, 0)
        mean = self.name_to_value.get(key, 0.0)
        self.name_to_value[key] = mean * count / (count + 1) + value / (count + 1)
        self.name_to_count[key] = count + 1
        self.name_to_excluded[key] = _excluded(exclude)

    def dump(self, step: int = 0) -> None:
        """Writes everything recorded, as of `step` environment steps, and forgets it."""
        if self.level == DISABLED:
            return
        for output in self.output_formats:
            output.write(self.name_to_value, self.name_to_excluded, step)
        self.name_to_value.clear()
        self.name_to_count.clear()
        self.name_to_excluded.clear()

    def log(self, *args: Any, level: int = INFO) -> None:
        """Writes words to the formats for people, if `level` is high enough."""
        if self.level <= level:
            for output in self.output_formats:
                if isinstance(output, HumanOutputFormat):
                    output.write_sequence([str(arg) for arg in args])

    def debug(self, *args: Any) -> None:
        """:meth:`log` at level DEBUG."""
        self.log(*args, level=DEBUG)

    def info(self, *args: Any) -> None:
        """:meth:`log` at level INFO."""
        self.log(*args, level=INFO)

    def warn(self, *args: Any) -> None:
        """:meth:`log` at level WARN."""
        self.log(*args, level=WARN)

    def error(self, *args: Any) -> None:
        """:meth:`log` at level ERROR."""
        self.log(*args, level=ERROR)

    def set_level(self, level: int) -> None:
        """Least level that :meth:`log` writes; DISABLED stops the dumps too."""
        self.level = level

    def get_dir(self) -> str | None:
        """The folder of the files."""
        return self.dir

    def close(self) -> None:
        """Closes all files."""
        for output in self.output_formats:
            output.close()


def make_output_format(_format: str, log_dir: str, log_suffix: str = "") -> KVWriter:
    """A format by name: "stdout", "log" (log.txt), "json" (progress.json), "csv" (progress.csv), "tensorboard".

    Raises:
        ValueError: for another name.
    """
    os.makedirs(log_dir, exist_ok=True)
    file = Path(log_dir)
    if _format == "stdout":
        return HumanOutputFormat(sys.stdout)
    if _format == "log":
        return HumanOutputFormat(str(file / f"log{log_suffix}.txt"))
    if _format == "json":
        return JSONOutputFormat(str(file / f"progress{log_suffix}.json"))
    if _format == "csv":
        return CSVOutputFormat(str(file / f"progress{log_suffix}.csv"))
    if _format == "tensorboard":
        return TensorBoardOutputFormat(log_dir)
    raise ValueError(f"Unknown format specified: {_format}; expected stdout, log, json, csv or tensorboard")


def configure(folder: str | None = None, format_strings: Iterable[str] | None = None) -> Logger:
    """A logger that writes to files in `folder`.

    Args:
        folder: made if needed; None takes the variable SB3_LOGDIR, or a new folder for temporary files.
        format_strings: see :func:`make_output_format`; None means stdout, log and csv.
    """
    if folder is None:
        folder = os.environ.get("SB3_LOGDIR")
    if folder is None:
        now = datetime.datetime.now().strftime("gbrl-%Y-%m-%d-%H-%M-%S-%f")
        folder = os.path.join(tempfile.gettempdir(), now)
    folder = str(folder)
    os.makedirs(folder, exist_ok=True)
    formats = ["stdout", "log", "csv"] if format_strings is None else [name for name in format_strings if name]
    logger = Logger(folder, [make_output_format(name, folder) for name in formats])
    # Whoever watches only files or events has asked for no words.
    if formats and formats != ["stdout"]:
        logger.log(f"Logging to {folder}")
    return logger


def configure_run(verbose: int, tensorboard_log: str | None, tb_log_name: str, reset_num_timesteps: bool) -> Logger:
    """The logger of a run without one of its own: a table where `verbose`, TensorBoard where a folder is named.

    Runs get the folders ``tensorboard_log/tb_log_name_1``, ``_2``, ...; one that goes on stays in the last.
    """
    formats = ["stdout"] if verbose >= 1 else []
    if tensorboard_log is None:
        return Logger(None, [HumanOutputFormat(sys.stdout)] if formats else [])
    latest = _latest_run(tensorboard_log, tb_log_name)
    number = latest + 1 if reset_num_timesteps or latest == 0 else latest
    return configure(os.path.join(tensorboard_log, f"{tb_log_name}_{number}"), [*formats, "tensorboard"])


def _latest_run(folder: str, name: str) -> int:
    numbers = [0]
    for path in Path(folder).glob(f"{name}_*"):
        stem, _, number = path.name.rpartition("_")
        if stem == name and number.isdigit():
            numbers.append(int(number))
    return max(numbers)


def _excluded(exclude: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if exclude is None:
        return ()
    return (exclude,) if isinstance(exclude, str) else tuple(exclude)


def _kept(values: Values, excluded: Excluded, *formats: str) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in values.items() if not set(formats) & set(excluded.get(key) or ())]


def _shown(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{float(value):<8.3g}"
    return f"{value!s:<8}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number, np.bool_)) or (isinstance(value, np.ndarray) and value.size == 1)


def _drawn(figure: Any) -> tuple[bytes, int, int]:
    """A figure as PNG, with its height and width."""
    data = io.BytesIO()
    figure.figure.savefig(data, format="png")
    width, height = (int(size) for size in figure.figure.get_size_inches() * figure.figure.dpi)
    if figure.close:
        from matplotlib import pyplot

        pyplot.close(figure.figure)
    return data.getvalue(), height, width


def _pixels(image: Any) -> np.ndarray[Any, Any]:
    """A picture as uint8 `[height, width, 3]`."""
    pixels = np.asarray(image.image.detach().cpu() if hasattr(image.image, "detach") else image.image)
    axes = image.dataformats.upper()
    if sorted(axes) not in (["C", "H", "W"], ["H", "W"]) or pixels.ndim != len(axes):
        raise ValueError(f"Image: expected the axes HWC, CHW or HW of such an array, got {axes} of {pixels.shape}")
    pixels = pixels.transpose([axes.index(axis) for axis in ("HWC" if "C" in axes else "HW")])
    if pixels.dtype != np.uint8:
        pixels = np.clip(pixels * 255.0, 0, 255).astype(np.uint8)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return np.ascontiguousarray(np.broadcast_to(pixels[..., :3], (*pixels.shape[:2], 3)))


def _png(pixels: np.ndarray[Any, Any]) -> tuple[bytes, int, int]:
    """uint8 `[height, width, 3]` as PNG, with its height and width."""
    height, width = pixels.shape[:2]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # 0: no filter
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts, height, width


def _json_value(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.tolist() if value.size != 1 else value.item()
    elif isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, (int, float, str, bool, list, type(None))) else str(value)
