"""How Beam's pipeline gains by workers: the same photos with one worker process and with two.

    python -m benchmarks.beam_workers

A real runner's parts in small, each a process of its own: Beam's local job service takes the pipeline, and a worker
pool starts the SDK's workers, as beside the task managers of a cluster. Prints photos a second, and the processor time
that all of it took: where that is much less than the cores had, others were at work on the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import psutil
from PIL import Image

from ssrvae_tf.photos.samples import sample_photos

_ROOT = Path(__file__).parents[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def portable_runner(workers: int = 1) -> Iterator[list[str]]:
    """Beam's options for a job service and a worker pool on this machine, which run meanwhile."""
    place = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # the pool starts `python`
    paths = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PATH": place, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"}
    ports = free_port(), free_port()
    modules = {
        "apache_beam.runners.portability.local_job_service_main": f"--port={ports[0]}",
        "apache_beam.runners.worker.worker_pool_main": f"--service_port={ports[1]}",
    }
    with contextlib.ExitStack() as stack:
        started = []
        for module, port in modules.items():
            command = [sys.executable, "-m", module, port]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            process = subprocess.Popen(command, env=environment, **quiet)
            stack.callback(_end, process)
            started.append(process)
        for port in ports:
            _wait_for(port, started)
        options = f"--runner=PortableRunner --job_endpoint=localhost:{ports[0]} --environment_type=EXTERNAL"
        options += f" --environment_config=localhost:{ports[1]} --direct_num_workers={workers}"
        yield options.split()


def _wait_for(port: int, started: list[subprocess.Popen]) -> None:
    for _ in range(1200):
        with contextlib.suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
            return
        if any(process.poll() is not None for process in started):
            raise RuntimeError("Beam's job service or its worker pool did not start")
        time.sleep(0.1)
    raise RuntimeError(f"nothing answers at port {port}")


def _end(process: subprocess.Popen) -> None:
    """A process and those that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        for each in [*family, process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
    process.wait()


class Meter:
    """Processor time of a process and of all that it starts, looked at four times a second."""

    def __init__(self, process: psutil.Process):
        self._process, self._seen, self._done = process, {}, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Meter:
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.25):
            with contextlib.suppress(psutil.NoSuchProcess):
                for each in [self._process, *self._process.children(recursive=True)]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        self._seen[each.pid] = sum(each.cpu_times()[:2])

    @property
    def seconds(self) -> float:
        return sum(self._seen.values())


def main() -> None:
    parser = argparse.ArgumentParser(description="Enlarge the same photos with one worker of Beam's and with more.")
    parser.add_argument("--photos", type=int, default=24, help="[24]")
    parser.add_argument("--side", type=int, default=96, help="of each, in pixels [96]")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="[1 2]")
    given = parser.parse_args()
    from ssrvae_tf.upscale_beam import upscale_beam

    print(f"{given.photos} photos of {given.side}x{given.side}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print("workers  seconds  of CPU  photos/s from the first result to the last")
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder, "photos")
        photos.mkdir()
        whole = Image.open(sample_photos()[0]).convert("RGB")
        for number in range(given.photos):
            left = 8 * number % (whole.width - given.side)
            whole.crop((left, 40, left + given.side, 40 + given.side)).save(photos / f"{number:03}.png")
        for workers in given.workers:
            out = Path(folder, f"out{workers}")
            with portable_runner(workers) as options, Meter(psutil.Process()) as meter:
                start = time.perf_counter()
                outcome = upscale_beam(str(photos / "*.png"), str(out), options)
                wall = time.perf_counter() - start
            if outcome.code:
                raise RuntimeError(f"failed: {outcome}")
            made = sorted(path.stat().st_mtime for path in out.glob("*.png"))
            rate = (len(made) - 1) / (made[-1] - made[0])
            print(f"{workers:7} {wall:8.1f} {meter.seconds:7.1f} {rate:9.2f}", flush=True)


if __name__ == "__main__":
    main()
