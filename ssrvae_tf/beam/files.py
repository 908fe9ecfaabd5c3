"""Files on any filesystem that Beam knows, as local ones. What may be over soon is tried again, after longer waits."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from pathlib import Path, PurePosixPath
from typing import Iterator

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.utils import retry

from ssrvae_tf.beam import places
from ssrvae_tf.errors import UserError, one_line

TRIES = 5
FIRST_WAIT = 1.0  # seconds; the next is twice as long
_LONGEST = 50  # letters of a name, of up to 4 bytes each, beside others in the 255 that disks take
# What no waiting changes.
_FINAL = (
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
    MemoryError,
    AssertionError,  # of Beam, where an extra of it is not installed
    UserError,
    ValueError,
)


def absolute(address: str) -> str:
    """A path of this machine from the root on, so that all of a job's processes mean the same; others as they are."""
    return address if FileSystems.get_scheme(address) else os.path.abspath(address)


def shown(address: str) -> str:
    """An address as text that can be sent and written: names of files may be in no encoding."""
    return address.encode(errors="backslashreplace").decode()


def matching(pattern: str, option: str, most: int | None = None) -> dict[str, int]:
    """Addresses of the files that a glob matches, sorted, with their bytes; at least one, `most` at most.

    Raises:
        UserError: if there is none, or they cannot be listed; it names `option`, which gave the glob.
    """
    if os.path.isdir(pattern):
        raise UserError(f"{option} {pattern}: a folder: give a glob, such as '{pattern}/*.jpg' or '{pattern}/**'")
    try:
        (result,) = _retried(FileSystems.match, [pattern], [most])
    except (OSError, ValueError) as error:  # such as an extra of Beam that is not installed
        raise UserError(f"{option} {pattern}: cannot be listed ({one_line(error)})") from error
    found = {each.path: each.size_in_bytes for each in result.metadata_list if not each.path.endswith("/")}
    if not found:
        raise UserError(f"{option} {pattern}: no file matches: give a glob in quotes, such as 'faces/*.jpg'")
    return dict(sorted(found.items()))


def exists(address: str) -> bool:
    """Whether there is a file. Raises OSError if that cannot be found out."""
    return _retried(FileSystems.exists, address)


@contextlib.contextmanager
def local_copy(address: str) -> Iterator[Path]:
    """A file of the same suffix and contents on this machine, as long as the context lasts.

    A UserError that is raised in the context names the original.

    Raises:
        OSError: if it cannot be fetched.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"photo{shown(PurePosixPath(address).suffix)}")

        def fetch():
            with FileSystems.open(address, compression_type=CompressionTypes.UNCOMPRESSED) as source:
                with open(path, "wb") as copy:
                    shutil.copyfileobj(source, copy)

        _retried(fetch)
        try:
            yield path
        except UserError as error:
            raise UserError(str(error).replace(os.fspath(path), shown(address))) from error


def publish(path: Path, address: str) -> None:
    """Copy a file of this machine, beside `address` and renamed, so that nobody finds half a file.

    Raises:
        OSError: if it cannot be written.
    """
    folder, name = FileSystems.split(address)
    # Others may be at work on the same; a name may be as long as names can be.
    part = FileSystems.join(folder, f".{name[:_LONGEST]}.{uuid.uuid4().hex}.part")

    def send():
        with open(path, "rb") as source:
            with FileSystems.create(part, compression_type=CompressionTypes.UNCOMPRESSED) as copy:
                shutil.copyfileobj(source, copy)
        try:
            FileSystems.rename([part], [address])
        except BeamIOError:
            if not FileSystems.exists(address):
                raise
            FileSystems.delete([address])  # HDFS renames onto nothing that is there
            FileSystems.rename([part], [address])

    try:
        _retried(send)
    except BaseException:
        with contextlib.suppress(Exception):
            FileSystems.delete([part])
        raise


def check_reached(folder: str, option: str) -> None:
    """Raises UserError, which names `option`, if nothing can be known of a folder: no such filesystem, no access."""
    try:
        exists(f"{folder}/any")
    except (OSError, ValueError) as error:  # such as an extra of Beam that is not installed
        raise UserError(f"{option} {folder}: cannot be reached ({one_line(error)})") from error


def check_apart(pattern: str, output: str, option: str) -> None:
    """Raises UserError if results would lie where the photos do, and be taken for photos the next time."""
    both = places.root_of(pattern), output
    if not FileSystems.get_scheme(pattern) and not FileSystems.get_scheme(output):
        both = map(os.path.realpath, both)  # a folder may have several names
    if len({each.rstrip("/") for each in both}) == 1:
        raise UserError(f"--output {output}: the folder of {option}: choose another one, such as {output}/results")


def _retried(function, *arguments):
    def may_pass(error):
        causes = [error, *(getattr(error, "exception_details", None) or {}).values()]
        return not any(isinstance(cause, _FINAL) for cause in causes) and retry.retry_on_server_errors_filter(error)

    attempt = retry.with_exponential_backoff(TRIES - 1, FIRST_WAIT, retry_filter=may_pass)(function)
    return attempt(*arguments)
