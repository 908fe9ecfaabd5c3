"""A filesystem for Beam that stumbles: `flaky://` before an absolute path of this machine."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata, FileSystem, MatchResult
from apache_beam.io.localfilesystem import LocalFileSystem

SCHEME = "flaky://"


class FlakyFileSystem(LocalFileSystem):
    """Every first `stumbles` attempts at anything with a file fail. Nothing is renamed onto what is there, as in HDFS.

    `attempts` counts them by what and place, parts under the name of what they become. Dead letters fare well: Beam
    writes them itself, and leaves it to runners to try again, which the direct one does not.
    """

    stumbles = 1
    attempts: Counter = Counter()

    @classmethod
    def scheme(cls):
        return SCHEME.partition(":")[0]

    def join(self, base, *paths):
        return "/".join([base.rstrip("/"), *paths])

    def split(self, path):
        folder, _, name = path.rpartition("/")
        return folder, name

    def match(self, patterns, limits=None):
        self._try("match", patterns[0])
        results = LocalFileSystem.match(self, [_local(pattern) for pattern in patterns], limits)
        return [
            MatchResult(
                pattern, [FileMetadata(SCHEME + each.path, each.size_in_bytes) for each in result.metadata_list]
            )
            for pattern, result in zip(patterns, results)
        ]

    def open(self, path, mime_type="", compression_type=CompressionTypes.AUTO):
        self._try("open", path)
        return open(_local(path), "rb")

    def create(self, path, mime_type="", compression_type=CompressionTypes.AUTO):
        Path(_local(path)).parent.mkdir(parents=True, exist_ok=True)
        self._try("create", path)
        return open(_local(path), "wb")

    def exists(self, path):
        if path.startswith(SCHEME):  # else it is the parent class that asks
            self._try("exists", path)
        return LocalFileSystem.exists(self, _local(path))

    def rename(self, sources, targets):
        for source, target in zip(sources, targets):
            self._try("rename", target)
            if Path(_local(target)).exists():
                raise BeamIOError("there is a file", {(source, target): OSError(target)})
            shutil.move(_local(source), _local(target))

    def mkdirs(self, path):
        Path(_local(path)).mkdir(parents=True)

    def delete(self, paths):
        for path in map(Path, map(_local, paths)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def checksum(self, path):
        return LocalFileSystem.checksum(self, _local(path))

    def _try(self, what, path):
        if "dead_letter" in path:
            return
        folder, name = self.split(path)
        if name.endswith(".part"):
            name = name[1:].rpartition(".part")[0].rpartition(".")[0]
        self.attempts[what, f"{folder}/{name}"] += 1
        if self.attempts[what, f"{folder}/{name}"] <= self.stumbles:
            raise OSError(f"no connection for {what} {path}")


assert issubclass(FlakyFileSystem, FileSystem)  # Beam finds it among the subclasses


def _local(path):
    return path[len(SCHEME) :] if path.startswith(SCHEME) else path
