"""Train and measure all that the paper's five tables need: `python -m ssrvae_tf.reproduce --hr DIR --lr DIR ...`."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Iterator, List, Literal, Optional

from jsonargparse.typing import PositiveInt
from PIL import Image

from ssrvae_tf import __version__, command_line, config
from ssrvae_tf.command_line import Folder
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.loading import places
from ssrvae_tf.photos.folders import check_not_swapped, check_outside
from ssrvae_tf.photos.samples import HEADS, sample_photos
from ssrvae_tf.photos.writing import check_folder_for, write_picture
from ssrvae_tf.reproduction import budget as budgets
from ssrvae_tf.reproduction import peers, photo_lists
from ssrvae_tf.reproduction.building import build
from ssrvae_tf.reproduction.photo_lists import PhotoList, Place
from ssrvae_tf.reproduction.plan import Plan

_PACKAGES = ("tensorflow", "keras", "numpy")
_NONE = "none"


def reproduce(
    hr: Folder,
    lr: Folder,
    lr_test: Folder,
    lfw: Folder,
    features: Annotated[List[str], "PATH"],
    out: Folder,
    budget: Annotated[str, "NAME|FILE"] = "small",
    changes: Optional[Annotated[List[str], "FIELD=VALUE"]] = None,
    weights: Optional[Annotated[List[str], "NAME|RUN"]] = None,
    domain: Optional[Annotated[List[str], "DIR|GLOB"]] = None,
    domain_test: Optional[Annotated[List[str], "DIR|GLOB"]] = None,
    identity: Optional[Annotated[str, "PATH"]] = None,
    identity_range: Optional[Literal["unit", "signed", "bytes"]] = None,
    find_faces: bool = False,
    pictures_of: Optional[Folder] = None,
    processes: PositiveInt = 1,
    device: Optional[Annotated[List[str], "N|cpu"]] = None,
) -> int:
    """Train and measure all that the paper's five tables need, and write REPORT.md and report.html: what holds?

    Each part is done once: what is finished is there for the next time, a training that was stopped or killed goes on,
    and another option repeats what depends on it and nothing else. The same command may be started several times on one
    `--out`. The report is written anew after each table.

    Args:
        hr: sharp faces to train on; some are held back to measure with.
        lr: real small faces to train on.
        lr_test: real small faces to measure with.
        lfw: faces for PSNR, whose centres are used, such as LFW.
        features: SavedModels images -> features for distances, two of them if you can: networks differ in their taste.
        out: the folder of all that is made.
        budget: how large and long: paper, small (hours on two cores), tiny (minutes: whether it runs), or a YAML file.
        changes: of the budget, such as sr.epochs=20.
        weights: trained networks to measure, too; faces-x4 unless told, none for none.
        domain: small faces of one kind, for a styleVAE of their own; a folder, or a glob in quotes: 'small/film_*'.
        domain_test: others of that kind to measure with, in the same order.
        identity: SavedModel or .tflite file photos -> embeddings, for whether results show the same person.
        identity_range: what its input spans where that is not known: unit [0, 1], signed [-1, 1] or bytes [0, 255].
        find_faces: count the faces that are still found.
        pictures_of: sharp faces that may be shown; the package's two unless told.
        processes: that share the work on this machine.
        device: number of a GPU for each process, in turn, or cpu.

    Returns:
        1 if something failed, else 0.

    Raises:
        UserError: for missing photos or networks, and a budget that no training takes.
    """
    spent = budgets.read(budget, changes or [])
    folders = {"hr": hr, "lr": lr, "lr_test": lr_test, "lfw": lfw}
    check_outside(out, "--out", [(command_line.flag(name), folder) for name, folder in folders.items()])
    check_folder_for(out, "--out", is_folder=True)
    if len(domain or []) != len(domain_test or []):
        raise UserError("--domain and --domain-test: one of each for each kind of faces: give as many of both")
    photos = {name: photo_lists.find(folder, command_line.flag(name)) for name, folder in folders.items()}
    check_not_swapped(photos["hr"].paths, photos["lr"].paths)
    _check_apart(photos["lr"], photos["lr_test"], "--lr", "--lr-test")
    _check_apart(photos["hr"], photos["lfw"], "--hr", "--lfw")
    fields = config.from_dict(spent.of_style())
    train, sharp = _held_back(photos["hr"], hr, spent.held_back, fields.batch_size)

    inside = Path(os.path.abspath(out), "photos")
    known = {
        "photos.train": photo_lists.linked(train, inside / f"train-{train.fingerprint()}"),
        "photos.sharp": photo_lists.linked(sharp, inside / f"sharp-{sharp.fingerprint()}"),
        "photos.lr_train": Place(os.path.abspath(lr), photos["lr"].fingerprint()),
        "photos.lr_test": Place(os.path.abspath(lr_test), photos["lr_test"].fingerprint()),
        "photos.lfw": Place(os.path.abspath(lfw), photos["lfw"].fingerprint()),
        "photos.pictures": _pictures(pictures_of, inside / "heads"),
    }
    counts = {
        "sharp faces, to train on": f"{len(train.paths):,}",
        "sharp faces, to measure with": f"{len(sharp.paths):,}",
        "real small faces, to train on": f"{len(photos['lr'].paths):,}",
        "real small faces, to measure with": f"{len(photos['lr_test'].paths):,}",
        "faces for PSNR": f"{min(spent.lfw or len(photos['lfw'].paths), len(photos['lfw'].paths)):,}",
    }
    domains = []
    for one, other in zip(domain or [], domain_test or []):
        first, second = photo_lists.find(one, "--domain"), photo_lists.find(other, "--domain-test")
        _check_apart(first, second, f"--domain {one}", f"--domain-test {other}")
        name = photo_lists.name_of(one)
        if name in domains:
            raise UserError(f"--domain {one}: a second one of the name {name}: rename the folder")
        domains.append(name)
        for what, photos_of in (("domain", first), ("domain_test", second)):
            place = photo_lists.linked(photos_of, inside / f"{what}-{name}-{photos_of.fingerprint()}")
            known[f"photos.{what}.{name}"] = place
        counts[f"small faces of the kind {name}"] = f"{len(first.paths):,} and {len(second.paths):,}"
    judges = _judges(features)
    given = [] if weights == [_NONE] else weights or [places.DEFAULT]
    known.update({f"features.{name}": place for name, place in judges.items()}, **_weights(given, fields.scale))
    measured = [name.partition(".")[2] for name in known if name.startswith("weights.")]
    peer = peers.version() if fields.scale == peers.SCALE else None
    if peer:
        known["peer"] = Place(peers.X4PLUS, peer)

    asked = {"identity": "@identity" if identity else None, "range": identity_range, "find": find_faces}
    if identity:
        known["identity"] = photo_lists.of_files(_files_of(identity, "--identity"), identity)
    about = {
        "name": Path(budget).stem,
        "budget": dataclasses.asdict(spent),
        "one_process": spent.one_process,
        "photos": counts,
        "versions": [f"ssrvae_tf {__version__}"] + [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES],
    }
    plan = Plan(Path(os.path.abspath(out)), known, about)
    build(
        plan,
        spent,
        [*judges],
        measured,
        bool(peer),
        domains,
        len(train.paths),
        asked if identity or find_faces else None,
    )
    return _go(plan, processes, device or [""])


def _go(plan: Plan, processes: int, devices: list[str]) -> int:
    from ssrvae_tf.reproduction import child, work

    own = work.environment(devices[0], processes)
    with contextlib.ExitStack() as stack:
        for number in range(1, processes):
            device = devices[number % len(devices)]
            command = [sys.executable, "-m", child.__name__, str(plan.write()), device]
            log = stack.enter_context(open(plan.out / f"process-{number}.txt", "ab"))
            environment = work.environment(device, processes)
            stack.enter_context(_beside(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment))
        if plan.about["one_process"]:
            os.environ.update(own)
        failed = work.go_through(plan, devices[0], processes)
    for name, why in failed.items():
        print(f"not done: {name}: {why}", file=sys.stderr)
    print(f"the report is {plan.out / 'REPORT.md'} and {plan.out / 'report.html'}")
    return int(bool(failed))


@contextlib.contextmanager
def _beside(command: list[str], **more) -> Iterator[None]:
    """Another process, which ends with this one, or, if all is well, when it has nothing left to do."""
    process = subprocess.Popen(command, start_new_session=True, **more)
    try:
        yield
    except BaseException:
        process.stdin.close()
        raise
    finally:
        process.wait()


def _held_back(photos: PhotoList, folder: str, count: int, batch: int) -> tuple[PhotoList, PhotoList]:
    """(photos to train on, photos to measure with)."""
    if len(photos.paths) - count < 2 * batch:
        raise UserError(
            f"--hr {folder}: {len(photos.paths)} photos, of which the budget holds {count} back: at least {2 * batch} "
            f"must be left, two batches: add photos, or --set held_back={max(2, len(photos.paths) // 10)}"
        )
    return photo_lists.divided(photos, count)


def _check_apart(one: PhotoList, other: PhotoList, first: str, second: str) -> None:
    """Raises UserError: if what is measured with was trained on."""
    both = {*map(os.path.realpath, one.paths)}.intersection(map(os.path.realpath, other.paths))
    if both:
        raise UserError(f"{first} and {second} share {len(both)} photos, such as {min(both)}: take them out of one")


def _judges(features: list[str]) -> dict[str, Place]:
    """The networks for distances by their names."""
    found = {}
    for path in features:
        name = Path(path).resolve().name
        if name in found:
            raise UserError(f"--features {path}: a second network of that name: rename the folder, or leave one out")
        # By its own name, not by that of a link, of which several may be called `latest`.
        found[name] = photo_lists.of_files(_files_of(path, "--features"), Path(path).resolve())
    return found


def _files_of(network: str, option: str) -> list[Path]:
    """Those of a SavedModel, or a .tflite file."""
    if option == "--identity" and Path(network).is_file():
        return [Path(network)]
    if not Path(network, "saved_model.pb").is_file():
        raise UserError(f"{option} {network}: no saved_model.pb: give the folder of a SavedModel")
    return [Path(network, "saved_model.pb"), *sorted(Path(network, "variables").glob("variables.*"))]


def _weights(given: list[str], scale: int) -> dict[str, Place]:
    """Trained networks, and the styleVAEs that made their pairs, where these are there."""
    from ssrvae_tf.inference.identity import identity

    found = {}
    for network in given:
        settings, name = places.settings(network), Path(network).name
        digest, detail = identity(network), places.detail_of(places.chosen(network))
        if not settings or settings.stage != "sr" or settings.scale != scale:
            raise UserError(f"--weights {network}: no network that enlarges by {scale}: give another, or none")
        if f"weights.{name}" in found:
            raise UserError(f"--weights {network}: a second one of the name {name}: rename the folder")
        known = network in places.shipped()
        found[f"weights.{name}"] = Place(network if known else os.path.abspath(network), f"{digest} {detail}")
        if settings.style in places.shipped():
            found[f"style_of.{name}"] = Place(settings.style, identity(settings.style))
    return found


def _pictures(folder: str | None, heads: Path) -> Place:
    """The photos that are shown: those of a folder, or the heads on the package's two."""
    if folder:
        return Place(os.path.abspath(folder), photo_lists.find(folder, "--pictures-of").fingerprint())
    heads.mkdir(parents=True, exist_ok=True)
    for path, box in zip(sample_photos(), HEADS):
        with Image.open(path) as photo:
            write_picture(photo.convert("RGB").crop(box), heads / f"{path.stem}.png")
    return Place(str(heads), photo_lists.digest(HEADS))


def main(arguments: list | None = None) -> int:
    given = command_line.read(reproduce, "ssrvae_tf.reproduce", arguments, spelled={"changes": "set"})
    return reproduce(**given)


if __name__ == "__main__":
    exit_cleanly(main)
