"""`ssrvae app` in a process of its own, and what a browser asks it for."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import requests
import tensorflow as tf
from PIL import Image

ROOT = Path(__file__).parents[1]


def negative(path: Path) -> Path:
    """A network as a TFLite file, so that nothing slow is loaded: four times larger, and what was dark is bright."""

    @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.float32)])
    def network(lr):
        return 1.0 - tf.repeat(tf.repeat(lr, 4, 1), 4, 2)

    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()]).convert())
    return path


def file_of(image: Image.Image, kind: str = "PNG", **more) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def picture(width: int = 40, height: int = 30) -> Image.Image:
    """A smooth one of many colours."""
    coarse = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.BICUBIC)


class App:
    """The server, with photos in a folder below `folder`.

    Attributes:
        address: without a slash at the end.
    """

    def __init__(self, folder: Path, *options: str):
        self._folder = folder
        command = [sys.executable, "-m", "ssrvae_tf.app", "--no-browser", "--port", "0", *options]
        here = {**os.environ, "TMPDIR": str(folder)}
        # What ignores Ctrl-C, as a shell's background job does, hands that on. A `preexec_fn` would need a fork, which
        # other tests' threads of gRPC do not survive.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        signal.signal(signal.SIGINT, before)
        said = self.process.stdout.readline()
        found = re.fullmatch(r"the page is at (http://\S+)/ until Ctrl-C\n", said)
        assert found, said + self.process.communicate(timeout=60)[1]
        self.address = found[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def ended_by(self, number: int) -> tuple[int, str]:
        """Its exit code, and what it wrote to stderr."""
        self.process.send_signal(number)
        return self.process.wait(120), self.process.communicate()[1]

    def kept(self) -> list[str]:
        """The files and folders that it has, apart from the one for temporary files."""
        paths = [*self._folder.glob("ssrvae_app.*/*"), *self._folder.glob("ssrvae_app.*/scratch/*")]
        return [path.name for path in paths if path.name != "scratch"]

    def workers(self) -> list[psutil.Process]:
        """The processes that enlarge."""
        children = psutil.Process(self.process.pid).children()
        return [each for each in children if "spawn_main" in " ".join(each.cmdline())]

    def visitor(self) -> Visitor:
        return Visitor(self.address)


class Visitor(requests.Session):
    """Someone who has the page open."""

    def __init__(self, address: str):
        super().__init__()
        self.address = address
        self.get(address).raise_for_status()

    def bring(self, data: bytes, name: str = "face.png", **settings) -> requests.Response:
        return self.post(f"{self.address}/photos", params={"name": name, **settings}, data=data, timeout=120)

    def photos(self) -> list[dict]:
        return self.get(f"{self.address}/photos").json()

    def of(self, photo: dict, *rest: str) -> str:
        """An address that belongs to a photo."""
        return "/".join([self.address, "photos", photo["key"], *rest])

    def until(self, photo: dict, *states: str, seconds: float = 300) -> dict:
        """A photo once it has one of these states."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            (now,) = (each for each in self.photos() if each["key"] == photo["key"])
            if now["state"] in states:
                return now
            time.sleep(0.05)
        raise AssertionError(f"it is still {now}")

    def result_of(self, data: bytes, name: str = "face.png", **settings) -> requests.Response:
        """What becomes of a photo's file."""
        sent = self.bring(data, name, **settings)
        assert sent.status_code == 201, sent.text
        photo = self.until(sent.json(), "done", "failed")
        assert photo["state"] == "done", photo
        return self.get(self.of(photo, "result"))
