"""The engine that is fastest for a model on this machine, from files that are made once and kept.

Which that is, a short measurement tells at the first large job of a kind of network on a machine; it is kept, too. None
of this needs TensorFlow once the file is there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Callable, Literal, get_args

import numpy as np
import platformdirs

from ssrvae_tf import __version__
from ssrvae_tf.errors import UserError, one_line
from ssrvae_tf.inference.engines import TFLiteEngine, exported_folder
from ssrvae_tf.inference.engines import engine as engine_for
from ssrvae_tf.inference.openvino_engine import OpenVINOEngine
from ssrvae_tf.loading import places
from ssrvae_tf.photos.writing import replacing
from ssrvae_tf.resources import processors
from ssrvae_tf.terminal import saying

# What the options --engine and --precision take.
Engine = Literal["auto", "openvino", "litert", "keras"]
Precision = Literal["float32", "bfloat16"]
# benchmarks/upscaling.py: files take half a minute to make and save two thirds of the time from then on, or more.
_WORTH_A_FILE = 1_000_000  # pixels
# Attention is in one piece in a TFLite file: of tiles of 64x64 it takes 67 MB, growing with the square of the area.
_LARGEST = 64**2
_KEPT = 8  # files of each kind, of 1 to 5 MB: of the models last used
_MEASURED = 48  # side of the tile that engines are measured on
_FAILURES = (UserError, OSError, ImportError)  # of a file that cannot be made or opened
_MODULES = {"openvino": "openvino", "litert": "ai_edge_litert"}
_SUFFIXES = {"openvino": ".xml", "litert": ".tflite"}
_EXPORTS = {"openvino": ["--openvino"], "litert": ["--quantize", "float16", "--tflite"]}
# Packages whose versions change what a file holds or how fast it is.
_PACKAGES = ("tensorflow", "openvino", "ai-edge-litert")


class FastEngine:
    """Tiles of up to 64x64 by LiteRT as float16 (3e-4 from Keras at most, on faces), larger ones by the Keras model.

    Args:
        model: its name or the folder of its run; loaded when a large tile comes.
        file: the same network as TFLite.
    """

    fixed_size = None

    def __init__(self, model, file: Path):
        self._model, self._small, self._large = model, TFLiteEngine(file), None
        self.scale, self.runtime = self._small.scale, self._small.runtime

    def __call__(self, lr: np.ndarray) -> np.ndarray:
        if lr.shape[1] * lr.shape[2] <= _LARGEST:
            return self._small(lr)
        self._large = self._large or engine_for(self._model)
        return self._large(lr)


def fastest(
    model,
    pixels: int,
    engine: str = "auto",
    precision: str = "float32",
    device: str | None = None,
    making: Callable[[], None] = lambda: None,
):
    """An engine for a model: the one that is asked for, or the fastest one.

    Args:
        model: as for `ssrvae_tf.inference.engines.engine`. Only of the name of a model or the folder of its run, of a
            .keras file, and of what `ssrvae_tf.loading.places.chosen` made of them there are several engines; whatever
            else it is runs as it is.
        pixels: of all photos to come. From a million on files that are not there are made for "auto".
        engine: "auto", "openvino", "litert" or "keras".
        precision: "float32" or "bfloat16", which OpenVINO alone has, on processors that have it.
        device: that TensorFlow computes on, as "gpu:1"; other engines know the processor alone.
        making: is called before files are made.

    Raises:
        UserError: if the engine that is asked for is not to be had, or there is no such model.
        ValueError: if there is no such engine or precision.
    """
    for given, names in ((engine, get_args(Engine)), (precision, get_args(Precision))):
        if given not in names:
            raise ValueError(f"{given!r} is given, one of {', '.join(names)} is wanted")
    if not _is_named(model):
        if engine != "auto" or precision != "float32":
            asked = f"--engine {engine}" if engine != "auto" else f"--precision {precision}"
            raise UserError(f"{asked}: only for shipped weights and runs; what is exported or served runs as it is")
        return _loaded(model)
    on_processor = device is None or device.lower().split(":")[0] == "cpu"
    if not on_processor and (engine not in ("auto", "keras") or precision != "float32"):
        raise UserError(f"--device {device}: only for Keras in float32: leave --engine and --precision out")
    if precision == "bfloat16" and engine in ("litert", "keras"):
        raise UserError(f"--precision bfloat16: not with --engine {engine}: take openvino, or leave it out")
    model = places.chosen(model)
    known = places.settings(model)
    if engine == "keras" or not on_processor or (known and known.stage != "sr"):
        return _loaded(model)
    choice = _Choice(model, making)
    if precision == "bfloat16":
        engine = "openvino"
    if engine != "auto":
        return choice.of(engine, precision)
    return choice.fastest(pixels, device)


def _loaded(model):
    """Its own engine, with Keras where it is one of ours."""
    with saying(f"loading {model}") if isinstance(model, (str, os.PathLike)) else contextlib.nullcontext():
        return engine_for(model)


def _is_named(model) -> bool:
    if isinstance(model, places.Blend) or not isinstance(model, (str, os.PathLike)):
        return isinstance(model, places.Blend)
    return Path(model).suffix != ".tflite" and not exported_folder(Path(model))


@dataclasses.dataclass
class _Choice:
    """The engines of one model.

    Attributes:
        model: its name, the folder of its run, a .keras file, or two of them blended.
        making: is called before files are made.
    """

    model: str | os.PathLike
    making: Callable[[], None] = lambda: None

    def of(self, name: str, precision: str):
        """The engine of that name.

        Raises:
            UserError: if it is not to be had.
        """
        if name not in _installed():
            package = _MODULES[name].replace("_", "-")
            raise UserError(f"--engine {name}: {package} is not installed: pip install {package}, or leave it out")
        try:
            return self._made_and_opened([name], precision)[name]
        except (OSError, ImportError) as error:
            raise UserError(f"--engine {name}: it does not run here ({one_line(error)}): leave it out") from error

    def fastest(self, pixels: int, device: str | None):
        """That which a measurement found the fastest, or would if it were worth the while."""
        names, known = _installed(), self._measured()
        if not names or known == "keras" or (device is None and _has_gpu()):
            return _loaded(self.model)
        worthwhile = pixels >= _WORTH_A_FILE
        if known and (worthwhile or self._file(known).exists()):
            try:
                return self._made_and_opened([known])[known]
            except _FAILURES as error:
                print(f"{self.model} stays on a slower engine: {known}: {one_line(error)}", file=sys.stderr)
                with contextlib.suppress(OSError):
                    self._kept_choice().unlink()
        if worthwhile:
            try:
                return self._measure(names)
            except _FAILURES as error:
                print(f"{self.model} stays on the slower engine: {one_line(error)}", file=sys.stderr)
        return _loaded(self.model)

    def _made_and_opened(self, names: list[str], precision: str = "float32") -> dict:
        """Engines by name, whose files are there then."""
        self._make(names)
        return {name: self._opened(name, precision) for name in names}

    def _opened(self, name: str, precision: str = "float32"):
        file = self._file(name)
        try:
            if name == "openvino":
                opened = OpenVINOEngine(file, self._scale(), precision)
            else:
                opened = FastEngine(self.model, file)
        except UserError as error:
            if str(error).startswith(f"{file}: "):  # damaged; else it is the processor that has no such numbers
                file.unlink(missing_ok=True)
                raise UserError(f"{error}: removed, the next job makes it anew") from error
            raise
        with contextlib.suppress(OSError):  # a folder that is only read, or a file removed since
            os.utime(file)  # a sign of use, for `_forget_oldest`
        return opened

    def _scale(self) -> int:
        known = places.settings(self.model)
        return known.scale if known else _loaded(self.model).scale

    def _make(self, names: list[str]) -> None:
        """The files that are not there, in a process of its own, whose memory goes with it."""
        files = {name: self._file(name) for name in names if not self._file(name).exists()}
        if not files:
            return
        folder = _folder()
        print(f"making a faster form of {self.model} for this processor, once: {folder}", file=sys.stderr)
        self.making()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"{folder}: cannot be made ({error.strerror})"
            raise UserError(f"{reason}: take --engine keras, or set XDG_CACHE_HOME to another place") from error
        command = [sys.executable, "-m", "ssrvae_tf.export", *self._words()]
        for name, file in files.items():
            command += [*_EXPORTS[name], os.fspath(file)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"export ended with {done.returncode}"]
            raise UserError(lines[-1].removeprefix("error: "))
        _forget_oldest(folder)

    def _words(self) -> list[str]:
        """The model, for a command."""
        words = [os.fspath(self.model)]
        if isinstance(self.model, places.Blend):
            words += ["--detail", str(self.model.detail), "--detailed", self.model.detailed]
        return words

    def _measure(self, names: list[str]):
        """The fastest engine, Keras among them. Which it was is kept.

        In a process of its own: TensorFlow, which Keras and a look at a TFLite file need, would stay in the memory of
        this one.
        """
        made, problems = [], []
        for name in names:
            try:
                self._make([name])
                made.append(name)
            except _FAILURES as error:
                problems.append(f"{name}: {one_line(error)}")
        if not made:
            raise UserError("; ".join(problems))
        if "tensorflow" in sys.modules:
            self.keep_fastest(made)
        else:
            lines = f"from {__name__} import _keep_fastest; _keep_fastest()"
            command = [sys.executable, "-c", lines, ",".join(made), *self._words()]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise UserError((done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1])
        best = self._measured() or "keras"
        return _loaded(self.model) if best == "keras" else self._opened(best)

    def keep_fastest(self, names: list[str]) -> None:
        """Measure Keras and engines, whose files are there, on a tile, and keep which is the fastest."""
        engines, problems = {"keras": _loaded(self.model)}, []
        for name in names:
            try:
                engines[name] = self._opened(name)
            except _FAILURES as error:
                problems.append(f"{name}: {one_line(error)}")
        if len(engines) == 1:
            raise UserError("; ".join(problems))
        seconds = {name: _seconds(engine) for name, engine in engines.items()}
        best = min(seconds, key=seconds.get)
        milliseconds = {name: round(1e3 * each, 1) for name, each in seconds.items()}
        with replacing(self._kept_choice()) as part:
            part.write_text(json.dumps({"engine": best, "milliseconds": milliseconds}))

    def _measured(self) -> str | None:
        """What is known to be the fastest."""
        try:
            found = json.loads(self._kept_choice().read_text())["engine"]
        except (UserError, OSError, ValueError, LookupError, TypeError):  # no such model, or nothing is known of it
            return None
        return found if found == "keras" or found in _installed() else None

    def _kept_choice(self) -> Path:
        """Where the choice for networks of these settings on this machine lies, or would."""
        known = places.settings(self.model)
        network = dataclasses.asdict(known.sr_network) if known else self._digest()
        machine = [_processor(), processors(), *_versions()]
        digest = hashlib.sha256(json.dumps([machine, network, known and known.scale], sort_keys=True).encode())
        return _folder() / f"{digest.hexdigest()[:32]}.json"

    def _file(self, name: str) -> Path:
        return _folder() / f"{self._digest()}{_SUFFIXES[name]}"

    def _digest(self) -> str:
        """Of these very weights, and of what makes files of them."""
        digest = hashlib.sha256(" ".join(_versions()).encode())
        files = [] if places.keras_file(self.model) else [places.find(self.model) / places.CONFIG]
        if isinstance(self.model, places.Blend):
            digest.update(f"detail {self.model.detail}".encode())
            files += self.model.files
        else:
            files.append(places.file_of(self.model))
        for part in files:
            digest.update(part.read_bytes())
        return digest.hexdigest()[:32]


def _installed() -> list[str]:
    """The engines beside Keras that can be had."""
    return [name for name, module in _MODULES.items() if find_spec(module)]


def _seconds(engine, times: int = 5) -> float:
    """A tile's time: half of a row of two, the best of a few."""
    lr = np.random.default_rng(0).random((2, _MEASURED, _MEASURED, 3), np.float32)
    found = []
    for _ in range(times):
        start = time.perf_counter()
        for _ in range(4):
            engine(lr)
        found.append((time.perf_counter() - start) / 8)
    return min(found)


def _keep_fastest() -> None:
    """`_Choice.keep_fastest` of the names and the model that the command's words say."""
    names, model, *more = sys.argv[1:]
    _, detail, _, detailed = more or [None] * 4
    _Choice(places.chosen(model, detail and float(detail), detailed)).keep_fastest(names.split(","))


def _folder() -> Path:
    return Path(platformdirs.user_cache_dir("ssrvae_tf"))


def _versions() -> list[str]:
    found = [__version__]
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    return found


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return f"{platform.processor()} {platform.machine()}"


def _has_gpu() -> bool:
    """Whether TensorFlow lists a GPU. It is asked only where there may be one, since it takes seconds to load."""
    devices = Path("/dev")
    if platform.system() == "Linux" and not (any(devices.glob("nvidia[0-9]*")) or (devices / "kfd").exists()):
        return False
    import tensorflow as tf

    return bool(tf.config.list_logical_devices("GPU"))


def _forget_oldest(folder: Path) -> None:
    """Keeps what was used last. Another process may have removed a file already."""
    for suffix in _SUFFIXES.values():
        used = sorted(((file.stat().st_mtime, file) for file in folder.glob(f"*{suffix}")), reverse=True)
        for _, file in used[_KEPT:]:
            file.unlink(missing_ok=True)
            if suffix == _SUFFIXES["openvino"]:
                file.with_suffix(".bin").unlink(missing_ok=True)
