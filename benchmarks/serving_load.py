"""What a server does under load: more and more clients at once, each sending the next photo when it has its answer.

    python -m benchmarks.serving_load                                   # a stand-in for TensorFlow Serving, faces-x4
    python -m benchmarks.serving_load --server http://127.0.0.1:8501    # one that runs on this machine

The stand-in (tests/stand_in_server) runs the same SavedModel in the same TensorFlow, behind Python's HTTP server: what
its figures tell is how answers get later as clients get more, not how fast TensorFlow Serving is. Each step ends after
--seconds or --requests, whichever comes first. Other machines are not asked.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Iterator, NamedTuple
from urllib.parse import urlsplit

import psutil
import requests
from PIL import Image

from ssrvae_tf.photos.samples import sample_photos

_ROOT = Path(__file__).parents[1]
_HERE = ("127.0.0.1", "localhost", "::1")


class Load(NamedTuple):
    """What came of a step.

    Attributes:
        seconds: of each answer, in no order.
        refused: requests that were not answered by a photo, by status or kind of error.
        wall: seconds of the step.
    """

    clients: int
    seconds: list[float]
    refused: dict[str, int]
    wall: float

    def row(self) -> str:
        found = sorted(self.seconds)
        failed = ", ".join(f"{count} x {what}" for what, count in self.refused.items()) or "0"
        if not found:
            return f"{self.clients:7} {0:8} {failed:>8}"
        tail = found[min(len(found) - 1, int(0.95 * len(found)))]
        times = " ".join(f"{1000 * each:8.0f}" for each in (statistics.median(found), tail, found[-1]))
        return f"{self.clients:7} {len(found):8} {failed:>8} {len(found) / self.wall:10.2f} {times}"


def photo(side: int) -> bytes:
    """A request for a photo of that size."""
    image = Image.open(sample_photos()[0]).convert("RGB").resize((side, side))
    image.save(file := io.BytesIO(), "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return f'{{"signature_name": "upscale_bytes", "instances": [{{"b64": "{data}"}}]}}'.encode()


def load(url: str, body: bytes, clients: int, seconds: float, most: int) -> Load:
    """Let so many clients send one request after the other.

    Args:
        url: of the model, without ":predict".
        seconds: after which nobody sends anything more.
        most: requests of all clients together.
    """
    found, refused, left, lock = [], {}, [most], threading.Lock()
    start = time.perf_counter()

    def client() -> None:
        with requests.Session() as session:
            while True:
                with lock:
                    if left[0] == 0 or time.perf_counter() - start > seconds:
                        return
                    left[0] -= 1
                sent = time.perf_counter()
                try:
                    answer = session.post(f"{url}:predict", data=body, timeout=120)
                    what = "" if answer.ok and "predictions" in answer.json() else str(answer.status_code)
                except (requests.RequestException, ValueError) as error:
                    what = type(error).__name__
                with lock:
                    if what:
                        refused[what] = refused.get(what, 0) + 1
                    else:
                        found.append(time.perf_counter() - sent)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(clients, found, refused, time.perf_counter() - start)


@contextlib.contextmanager
def stand_in(model: str) -> Iterator[tuple[str, psutil.Process]]:
    """(address, process) of a stand-in that serves a model."""
    environment = {**os.environ, "PYTHONPATH": f"{_ROOT}:{_ROOT / 'tests'}", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryDirectory() as folder:
        export = [sys.executable, "-m", "ssrvae_tf.export", model, "--savedmodel", folder]
        subprocess.run(export, check=True, env=environment, stdout=subprocess.DEVNULL)
        command = [sys.executable, "-m", "stand_in_server", f"ssrvae={folder}", "--rest-port", "0", "--grpc-port", "0"]
        server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            address = server.stdout.readline().split("REST ")[1].split(",")[0]
            for _ in range(300):
                with contextlib.suppress(requests.RequestException, LookupError):
                    answer = requests.get(f"{address}/v1/models/ssrvae", timeout=5)
                    if answer.json()["model_version_status"][0]["state"] == "AVAILABLE":
                        break
                time.sleep(0.2)
            yield address, psutil.Process(server.pid)
        finally:
            server.terminate()
            server.wait()


def report(address: str, model: str, side: int, clients: list[int], seconds: float, most: int) -> None:
    body, url = photo(side), f"{address}/v1/models/{model}"
    load(url, body, 1, 60, 2)  # the first requests compile
    titles = ("clients", "answers", "refused", "answers/s", "median ms", "95 % ms", "worst ms")
    print("{:>7} {:>8} {:>8} {:>10} {:>8} {:>8} {:>8}".format(*titles))
    for count in clients:
        print(load(url, body, count, seconds, most).row(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask a server on this machine for more and more at once.")
    parser.add_argument("--server", help="http://127.0.0.1:PORT of one that runs; else a stand-in is started")
    parser.add_argument("--model", default="faces-x4", help="that the stand-in serves [faces-x4]")
    parser.add_argument("--name", default="ssrvae", help="of the model at the server [ssrvae]")
    parser.add_argument("--side", type=int, default=32, help="of the photo, in pixels [32]")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 4, 8], help="at once [1 2 4 8]")
    parser.add_argument("--seconds", type=float, default=10, help="of each step, at most [10]")
    parser.add_argument("--requests", type=int, default=200, help="of each step, at most [200]")
    given = parser.parse_args()
    about = (given.name, given.side, given.clients, given.seconds, given.requests)
    print(f"photos of {given.side}x{given.side}, {os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}")
    if given.server:
        if urlsplit(given.server).hostname not in _HERE:
            parser.error(f"--server {given.server}: only a server of this machine, at 127.0.0.1, is put under load")
        report(given.server.rstrip("/"), *about)
        return
    with stand_in(given.model) as (address, process):
        print(f"a stand-in for TensorFlow Serving, not TensorFlow Serving, with {given.model}")
        before = sum(process.cpu_times()[:2])
        report(address, *about)
        print(f"processor time of the server alone: {sum(process.cpu_times()[:2]) - before:.0f} s")


if __name__ == "__main__":
    main()
