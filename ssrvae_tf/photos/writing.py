"""Write files whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import tempfile
import time
import zlib
from pathlib import Path
from typing import IO, Iterator

from PIL import Image

from ssrvae_tf.errors import UserError

_LONGEST_NAME = 255  # bytes, on most disks
_SETTINGS = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"quality": 95}}


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of a file beside `path`, which takes its place when the block ends and is removed if it fails."""
    part = part_of(path)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """Where a file is written before it is renamed. Libraries go by the suffix, so that stays last."""
    end = f".{machine()}.{os.getpid()}.part{path.suffix}"
    stem = os.fsencode(path.stem)
    if len(stem) + len(end) >= _LONGEST_NAME:
        stem = f"{zlib.crc32(stem):08x}".encode()
    return path.with_name(f".{os.fsdecode(stem)}{end}")


def remove_parts(folder: Path) -> None:
    """Remove what killed processes left half written."""
    for part in folder.glob(".*.part*"):
        made = re.search(r"\.([0-9a-f]{8})\.(\d+)\.part(\.\w+)?$", part.name)
        with contextlib.suppress(OSError):  # such as that another has removed it
            if made and is_left(part, made[1], int(made[2])):
                part.unlink()


def is_left(part: Path, where: str, process: int) -> bool:
    """Whether a process of that number, on what is called so by `machine`, was killed before it had written `part`.

    On a shared disk those of other machines may be alive: their parts are let alone for a day.
    """
    if where == machine():
        return not runs(process)
    return time.time() - part.lstat().st_mtime > 24 * 3600


def take(file: int | IO) -> bool:
    """Keep a file or a folder that is open for this process alone; False if another one has it.

    The system gives it back when it is closed and when the process ends, however it does.

    Raises:
        ImportError: on Windows.
        OSError: on a disk without such locks.
    """
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@functools.cache
def machine() -> str:
    """A short name for where numbers of processes mean the same: a host, or a container on it."""
    try:
        numbers = os.readlink("/proc/self/ns/pid")  # containers may share their host's name
    except OSError:
        numbers = ""
    return f"{zlib.crc32(f'{platform.node()} {numbers}'.encode()):08x}"


def runs(process: int) -> bool:
    """Whether there is a process of that number, or may be: what it left half written is then let alone."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True


def check_writable(path: Path, option: str) -> None:
    """Find out before the work starts, not after it, that `path` cannot be written.

    Raises:
        UserError: it names `option`, which gave the path.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{option} {path}: a folder, a file is wanted: {option} {path / 'picture.png'}")
    if _format(path) not in Image.SAVE:
        raise UserError(f"{option} {path}: Pillow cannot write {path.suffix or 'without a suffix'}: use .png or .jpg")
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: there is no folder {path.parent}: make it first")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{option} {path}: no permission to write in {path.parent}: choose another folder")


def check_folder_for(path: str | os.PathLike, option: str, is_folder: bool = False) -> None:
    """Find out before the work starts that nothing can be written to `path`; its folder is made.

    Args:
        option: that gave the path.
        is_folder: it is the folder itself.

    Raises:
        UserError: it names both.
    """
    folder = Path(path) if is_folder else Path(path).parent
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise UserError(f"{option} {path}: a device or a pipe, in whose place nothing is written: choose another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{option} {path}: cannot be written ({error.strerror}): choose another place") from error


def write_picture(image: Image.Image, path: Path) -> Path:
    """Write beside `path` and rename, so that nobody finds half a file. JPEG gets white where `image` is transparent.

    The colour profile in `image.info` is kept.

    Raises:
        UserError: if it cannot be written.
    """
    path = Path(path)
    kind = _format(path)
    if kind == "JPEG" and image.mode == "RGBA":
        flat = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        flat.info, image = image.info, flat
    try:
        with replacing(path) as part, open(part, "wb") as file:
            image.save(file, kind, icc_profile=image.info.get("icc_profile"), **_SETTINGS.get(kind, {}))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be written ({reason}): choose another place or format by --out") from error
    return path


def _format(path: Path) -> str | None:
    return Image.registered_extensions().get(path.suffix.lower())
