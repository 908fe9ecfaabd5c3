"""A page to drop photos on, on this machine: python -m ssrvae_tf.app [--port 7860]"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Iterator, List, Optional

from jsonargparse.typing import PositiveFloat, PositiveInt, restricted_number_type

from ssrvae_tf import command_line
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.inference.fast_engine import Engine, Precision
from ssrvae_tf.inference.identity import identity
from ssrvae_tf.loading import places
from ssrvae_tf.photos.formats import MAX_MEGAPIXELS
from ssrvae_tf.photos.writing import machine, runs

Port = restricted_number_type("Port", int, [(">=", 0), ("<=", 65535)], docstring="a whole number from 0 to 65535")


def serve(
    model: Optional[Annotated[List[str], "MODEL"]] = None,
    host: Annotated[str, "ADDRESS"] = "127.0.0.1",
    port: Port = 7860,
    allow_host: Optional[Annotated[List[str], "NAME"]] = None,
    no_browser: bool = False,
    max_megapixels: PositiveFloat = MAX_MEGAPIXELS,
    max_megabytes: PositiveFloat = 500.0,
    max_photos: PositiveInt = 100,
    keep_minutes: PositiveFloat = 60.0,
    engine: Engine = "auto",
    precision: Precision = "float32",
) -> None:
    """Open a page, in a browser, to drop photos on, which are enlarged one at a time. All is done on this machine;
    nothing is fetched from elsewhere or sent there. Photos and results are removed when the page has been closed for a
    while, and when this ends, by Ctrl-C.

    Args:
        model: folder of a run, exported SavedModel or .tflite file to choose beside the shipped weights; may be given
            several times, the first is what is chosen unless told.
        host: that others reach the page by, such as 0.0.0.0 for all who reach this machine; there is no password.
        port: 0 is any that is free.
        allow_host: a name that this machine is reached by, beside localhost and numbers; may be given several times.
        no_browser: do not open one.
        max_megapixels: larger photos are refused.
        max_megabytes: larger files are refused.
        max_photos: that one person may have on the page.
        keep_minutes: that photos and results stay once the page is closed.
        engine, precision: as for ssrvae_tf.upscale.

    Raises:
        UserError: if there is no such model, or the page cannot be served there.
    """
    if not (find_spec("starlette") and find_spec("uvicorn")):
        raise UserError('the page needs starlette and uvicorn: pip install "ssrvae-tf[app]"')
    from ssrvae_tf.page.server import Limits, Site
    from ssrvae_tf.page.shelf import Shelf

    models, names = _models(model or []), [*(allow_host or []), host]
    limits = Limits(max_megapixels, max_megabytes, max_photos, keep_minutes)
    with _ending_cleanly(), _listening(host, int(port)) as listening, _private_folder() as folder:
        port = listening.getsockname()[1]
        address = f"http://{_reached_by(host)}:{port}/"
        if not _is_local(host):
            names.append(socket.gethostname())
            print(f"whoever reaches {host} can use the page: it asks for no password", file=sys.stderr)
        shelf = Shelf(folder, 60 * keep_minutes, max_photos, engine, precision)
        try:
            print(f"the page is at {address} until Ctrl-C", flush=True)
            if not no_browser:
                threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
            _serve(Site(shelf, models, limits, port, names).application, listening)
        finally:
            shelf.close()


def _serve(application, listening: socket.socket) -> None:
    import uvicorn

    uvicorn.Server(
        uvicorn.Config(
            application,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    ).run(sockets=[listening])


def _models(given: list[str]) -> dict[str, float | None]:
    """What may be chosen: name or place -> detail unless told, None for one set of weights.

    Raises:
        UserError: if one of them is no model that enlarges photos.
    """
    found: dict[str, float | None] = {}
    for name in [*given, places.DEFAULT, *places.shipped()]:
        known, chosen = places.settings(name), places.chosen(name)
        if known and known.stage != "sr":
            if name in given:
                raise UserError(f"--model {name}: it degrades photos: give one of stage sr, which enlarges them")
            continue
        try:
            identity(chosen)
        except OSError as error:
            raise UserError(f"--model {name}: cannot be read ({error.strerror}): give another") from error
        found[name] = chosen.detail if isinstance(chosen, places.Blend) else None
    return found


@contextlib.contextmanager
def _ending_cleanly() -> Iterator[None]:
    """What ends a process ends this one as Ctrl-C does, so that no photo is left behind."""

    def end(number, _):
        sys.exit(128 + number)

    before = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) == signal.SIG_DFL:
            before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """A folder that only this user may look into, removed at the end; those of processes that were killed, too."""
    prefix = f"ssrvae_app.{machine()}."
    for old in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        number = old.name[len(prefix) :].partition(".")[0]
        if number.isdigit() and not runs(int(number)):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}."))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _listening(host: str, port: int) -> socket.socket:
    """Raises UserError if it cannot be listened there."""
    try:
        kind = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=kind)
    except (OSError, UnicodeError) as error:  # the latter of 192.168..1
        number = getattr(error, "errno", None)
        what = f"--port {port}" if number in (errno.EADDRINUSE, errno.EACCES) else f"--host {host}"
        reason = str(getattr(error, "strerror", None) or error).partition(" (")[0]
        raise UserError(f"{what}: {reason}: choose another, or --port 0 for any that is free") from error


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reached_by(host: str) -> str:
    """The name for an address bar on this machine."""
    if host in ("0.0.0.0", "::", ""):
        return "localhost"
    return f"[{host}]" if ":" in host else host


def main(arguments=None) -> None:
    serve(**command_line.read(serve, "ssrvae_tf.app", arguments))


if __name__ == "__main__":
    exit_cleanly(main)
