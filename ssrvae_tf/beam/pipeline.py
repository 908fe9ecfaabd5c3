"""A job on many photos as a pipeline: match, name, leave out what is done, then read, work and write.

Photos are read, worked on and written by one worker each, so that only names travel between machines. What fails for
a photo is put down in OUTPUT/dead_letter-*.jsonl, {"path", "target", "reason"} a line, and the others are done.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
from pathlib import Path

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineState

from ssrvae_tf.beam import files, places
from ssrvae_tf.errors import UserError
from ssrvae_tf.photos import folders, records
from ssrvae_tf.terminal import counted

_COUNTERS = "ssrvae_tf"
_DEAD = "dead_letter"
_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Item:
    """One result.

    Attributes:
        source: address of the photo.
        inside: its place below the glob's root.
        target: the result's place below the output.
        size: bytes of the photo's file.
        number: of the variant, from 1.
    """

    source: str
    inside: str
    target: str
    size: int
    number: int = 1


class Job:
    """What is done with each photo. It travels to the workers, so it holds settings only.

    Attributes:
        output: address of the folder of all results.
        overwrite: make results anew that are there.
    """

    output: str
    overwrite: bool

    def rename(self, source: folders.Source, apart: bool) -> str:
        """The name of a result; `apart` tells those of `a.jpg` and `a.png` apart."""
        raise NotImplementedError

    def items(self, item: Item) -> list[Item]:
        """The results of a photo, when `item` would be its only one."""
        return [item]

    def results(self, item: Item) -> dict[str, str]:
        """Records (`ssrvae_tf.photos.records`) by addresses of files, any of which tells that the result is done."""
        raise NotImplementedError

    def handler(self):
        """Beam's ModelHandler for what `read` gives."""
        raise NotImplementedError

    def read(self, item: Item) -> tuple:
        """(item, photo). Raises UserError or OSError."""
        raise NotImplementedError

    def write(self, done: tuple) -> None:
        """Write the result of (item, result). Raises OSError."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        output: address of the folder of results.
        state: Beam's word for how the pipeline ended; None: nobody waited for it.
        written, skipped, dead: numbers of results; the skipped were there before, the dead could not be made.
        unknown: those of the skipped that do not say what made them.
        remade: results that something else had made.
    """

    output: str
    state: str | None
    written: int = 0
    skipped: int = 0
    dead: int = 0
    unknown: int = 0
    remade: int = 0

    @property
    def code(self) -> int:
        """Of the process: 0, or 1 if anything is known to be left undone."""
        return 1 if self.dead or self.state not in (None, PipelineState.DONE) else 0

    def report(self) -> None:
        if self.state is None:
            print(f"started; results go to {self.output}")
            return
        if self.remade:
            print(f"{counted(self.remade, 'result')} made otherwise: made again", file=sys.stderr)
        if self.unknown:
            some = f"{counted(self.unknown, 'result')} without a word of what made it"
            print(f"{some}: left alone; --overwrite makes all anew", file=sys.stderr)
        there = f", {self.skipped} were there before" if self.skipped else ""
        dead = f", {self.dead} failed: see {self.output}/{_DEAD}-*.jsonl" if self.dead else ""
        print(f"{self.written} written to {self.output}{there}{dead}")
        if self.state != PipelineState.DONE:
            print(f"error: the pipeline ended as {self.state}; the same command goes on from here", file=sys.stderr)


def checked_options(flags: list[str]) -> PipelineOptions:
    """Beam's options.

    Raises:
        UserError: if the direct runner, which takes Beam's own only, would pass over one.
    """
    options = PipelineOptions(flags)
    if (options.view_as(StandardOptions).runner or "DirectRunner").rpartition(".")[2] == "DirectRunner":
        known = PipelineOptions([]).get_all_options()
        unknown = set(options.get_all_options(retain_unknown_options=True)) - set(known)
        if unknown:
            names = ", ".join(f"--{name}" for name in sorted(unknown))
            raise UserError(f"{names}: no such option, neither here nor in Beam: see --help")
    return options


def check_places(pattern: str, output: str, option: str, options: PipelineOptions) -> tuple[str, str]:
    """The glob and the output as all processes know them, once it is plain that there are photos, and room.

    Raises:
        UserError: it names `option`, which gave the glob.
    """
    FileSystems.set_options(options)  # which hold the credentials
    pattern, output = files.absolute(pattern), files.absolute(output).rstrip("/")
    files.check_apart(pattern, output, option)
    files.matching(pattern, option, most=1000)  # buckets list folders, too, before what is in them
    if not FileSystems.get_scheme(output):
        folders.check_folder(Path(output), "--output")
    files.check_reached(output, "--output")
    return pattern, output


def run(job: Job, pattern: str, options: PipelineOptions) -> Outcome:
    """Do a job on all photos that a glob matches, and wait for its end unless Beam's options say otherwise.

    Raises:
        UserError: if there is no such runner, or it lacks options.
        Exception: Beam's own, if the pipeline as a whole fails.
    """
    try:
        pipeline = beam.Pipeline(options=options)
    except (ValueError, ImportError, AttributeError) as error:  # a runner that is not there, or lacks options
        raise UserError(f"Beam: {' '.join(str(error).split())}: see --help") from error
    root = places.root_of(pattern)
    items = (
        pipeline
        | "Match" >> fileio.MatchFiles(pattern)
        | "Sort into families" >> beam.FlatMap(_with_family, root, job.output)
        | "Bring families together" >> beam.GroupByKey()
        | "Name" >> beam.FlatMap(_items, root, job)
    )
    to_do, unseen = items | "Leave out what is there" >> beam.Filter(_is_to_do, job).with_exception_handling()
    handler = KeyedModelHandler(job.handler()).with_preprocess_fn(job.read).with_postprocess_fn(job.write)
    _, failures = to_do | "Spread" >> beam.Reshuffle() | "Work" >> RunInference(handler).with_exception_handling()
    dead = {
        "Unseen": unseen,
        "Unread": failures.failed_preprocessing[0],
        "Failed": failures.failed_inferences,
        "Unwritten": failures.failed_postprocessing[0],
    }
    letters = [failed | what >> beam.Map(_dead_letter) for what, failed in dead.items()]
    # One file, which is empty if there are none, so that none is left of an earlier time.
    into = beam.io.WriteToText(f"{job.output}/{_DEAD}", file_name_suffix=".jsonl", num_shards=1)
    letters | "Dead letters" >> beam.Flatten() | "Write dead letters" >> into

    result = pipeline.run()
    if options.view_as(StandardOptions).no_wait_until_finish:
        return Outcome(job.output, None)
    state = result.wait_until_finish()
    counts = {}
    for counter in result.metrics().query(MetricsFilter().with_namespace(_COUNTERS))["counters"]:
        name = counter.key.metric.name
        counts[name] = counts.get(name, 0) + counter.result
    return Outcome(job.output, state, **counts)


def count(what: str) -> None:
    """One more of what `Outcome` counts."""
    Metrics.counter(_COUNTERS, what).inc()


def _with_family(match, root, output):
    is_folder = match.path.endswith("/")  # which has an entry of its own on filesystems without folders
    is_result = output.startswith(root) and match.path.startswith(f"{output}/")
    if not is_folder and not is_result:
        # As bytes, since Beam's coders take no names that are in no encoding.
        family = places.family_of(places.inside(match.path, root))
        yield os.fsencode(family), (os.fsencode(match.path), match.size_in_bytes)


def _items(family, root, job):
    photos = sorted((os.fsdecode(address), size) for address, size in family[1])
    insides = [places.inside(address, root) for address, _ in photos]
    for (address, size), inside, target in zip(photos, insides, places.targets(insides, job.rename)):
        yield from job.items(Item(address, inside, target, size))


def _is_to_do(item, job):
    if job.overwrite:
        return True
    others = False
    for address, record in job.results(item).items():
        if not files.exists(address):
            continue
        with files.local_copy(address) as path:
            made = records.made(path)
        if made in (None, record):
            count("skipped")
            if made is None:
                count("unknown")
            return False
        others = True
    if others:
        count("remade")
    return True


def _dead_letter(failure):
    found, (kind, _, trace) = failure
    while not isinstance(found, Item):  # (item, pixels), or a batch of one
        found = found[0]
    if issubclass(kind, MemoryError):
        reason = "needs more memory than there is"
    else:
        reason = " ".join(trace[-1].split()).removeprefix(f"{UserError.__module__}.{UserError.__qualname__}: ")
    source = files.shown(found.source)
    reason = reason if source in reason else f"{source}: {reason}"
    _LOGGER.warning("dead letter: %s", reason)
    count("dead")
    letter = {"path": source, "target": files.shown(found.target), "reason": reason}
    return json.dumps(letter, ensure_ascii=False)
