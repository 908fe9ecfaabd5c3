"""What a person at a terminal sees while work goes on: what is loading, and no lines of libraries through a bar."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
import tempfile
import threading
from typing import Iterator, TextIO

from tqdm import tqdm

from ssrvae_tf.resources import is_limited, processors

# What TensorFlow, XLA and LiteRT write by themselves, some of it whatever TF_CPP_MIN_LOG_LEVEL says.
_CHATTER = re.compile(rb"[IW]\d{4} \d\d:|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] |INFO: |WARNING: All log messages ")
_CLEARED = "\r\033[K"  # the line that the cursor is in
_WIDE = 72  # columns
_NARROW = "{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt} [{elapsed}<{remaining}]"
_HUSHED = threading.Lock()


def width() -> int | None:
    """Columns of the terminal that stderr is; None if it is none."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns if sys.stderr.isatty() else None
    except (OSError, ValueError):
        return None


def counted(number: int, what: str) -> str:
    """A number of things, as "1 face" or "2 faces"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


class Bar(tqdm):
    """A bar on stderr that is left out, its figures aside, where a terminal has hardly room for it.

    Args:
        narrow: its figures then, as tqdm's `bar_format`.
    """

    def __init__(self, *given, narrow: str = _NARROW, **more):
        columns = width()
        if columns is not None and columns < _WIDE:
            more["bar_format"] = narrow
        super().__init__(*given, **more)


@contextlib.contextmanager
def saying(what: str) -> Iterator[None]:
    """Say on a terminal what takes its time, as long as it does."""
    columns = width()
    if columns is None:
        yield
        return
    print(f"{what} ..."[: max(0, columns - 1)], end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print(_CLEARED, end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def own_stream() -> Iterator[TextIO]:
    """stderr by a file descriptor of its own, so that a bar is seen while others are `hushed`."""
    if not _is_native():
        yield sys.stderr
        return
    with os.fdopen(os.dup(2), "w", 1, encoding=sys.stderr.encoding, errors="backslashreplace") as stream:
        yield stream


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Hold back what is written to stderr, native code's included, and give it out after, without libraries' chatter.

    One thread at a time; what others do meanwhile is as it would be without.
    """
    if not _is_native() or not _HUSHED.acquire(blocking=False):
        yield
        return
    try:
        with _held_back():
            yield
    finally:
        _HUSHED.release()


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(tempfile.TemporaryFile())
        except OSError:  # a container may have no place to write in but that of its results
            yield
            return
        sys.stderr.flush()
        real = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            told = b"".join(line for line in held if not _CHATTER.match(line))
            if told:
                os.write(2, (_CLEARED.encode() if sys.stderr.isatty() else b"") + told)


def quiet_start() -> None:
    """For commands, whose own lines would drown in what TensorFlow writes when it is imported; unless the user has set
    TF_CPP_MIN_LOG_LEVEL, which later versions do not follow before they are. Keras 3 then runs on TensorFlow, whatever
    the user's other programs have it run on."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if is_limited():
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(processors()))
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3" and "tensorflow" not in sys.modules:
        if not any(isinstance(finder, _QuietTensorFlow) for finder in sys.meta_path):
            sys.meta_path.insert(0, _QuietTensorFlow())


class _QuietTensorFlow:
    """Finds TensorFlow as Python does, and has it `hushed` while it is imported. Libraries may look for it before."""

    def __init__(self) -> None:
        self._looks = False

    def find_spec(self, name, path=None, target=None):
        if name != "tensorflow" or self._looks:
            return None
        self._looks = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._looks = False
        if spec:
            execute = spec.loader.exec_module

            def quietly(module):
                with hushed():
                    execute(module)

            spec.loader.exec_module = quietly
        return spec


def _is_native() -> bool:
    """Whether stderr is the process's own, not a notebook's or a test's."""
    try:
        return sys.stderr is sys.__stderr__ and sys.stderr.fileno() == 2
    except (OSError, ValueError):
        return False
