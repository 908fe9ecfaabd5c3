"""Whether an HDF5 file keeps to itself. Parts of it may lie in any other file that the reader can open."""

from __future__ import annotations

import os
from typing import BinaryIO

import h5py

from ssrvae_tf.errors import UserError


def check_weights(file: str | os.PathLike | BinaryIO, path: str | os.PathLike | None = None) -> None:
    """Refuse a file of weights that would be filled from other files.

    HDF5 has three ways to say so: a link into another file, a dataset stored in other files, and a virtual dataset made
    of parts of others. Soft links are refused as well: they may lead through the others, and Keras writes none.

    Args:
        file: a path, or a file opened for reading, such as one out of a .keras file.
        path: what the error calls it; `file` unless given.

    Raises:
        UserError: if it would.
        OSError: if it is no HDF5 file; of damaged ones, RuntimeError and KeyError, too.
    """
    with h5py.File(file, "r") as opened:
        links = {}  # name -> kind; none is followed
        opened.id.links.visit(lambda name, link: links.update({name: link.type}), info=True)
        for name, kind in links.items():
            found = "is a link" if kind != h5py.h5l.TYPE_HARD else _elsewhere(opened[name])
            if found:
                raise UserError(
                    f"{path or file}: its {name.decode('utf-8', 'replace')[:60]!r} {found}: not loaded, since it could "
                    "read any file of this machine; give weights that hold their own numbers"
                )


def _elsewhere(item: h5py.Group | h5py.Dataset) -> str | None:
    if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
        return "lies in another file"
    return None
