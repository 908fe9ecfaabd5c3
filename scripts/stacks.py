"""Whether the two stacks give the same answers: what one gave is kept in a folder, and what the other gives compared.

    python scripts/stacks.py make FOLDER     # in the environment of one stack
    python scripts/stacks.py check FOLDER    # in that of the other: a line for each answer; exit code 1 if one differs

`make stacks` does so both ways.
"""

from __future__ import annotations

import csv
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

import ssrvae_tf
from ssrvae_tf import config
from ssrvae_tf.exporting.saved_model import export_saved_model
from ssrvae_tf.exporting.tflite import export_tflite
from ssrvae_tf.inference.engines import engine
from ssrvae_tf.loading.models import build, save_weights
from ssrvae_tf.loading.places import CONFIG, WEIGHTS
from ssrvae_tf.models import EDSR, StyleVAE
from ssrvae_tf.photos.samples import sample_photos
from ssrvae_tf.training.run import fit
from ssrvae_tf.upscale import upscale_files

STEPS = 20
# The most that two stacks may differ by; 0: not in a bit.
ALLOWED = {
    "predict": 1e-5,
    "upscale by Keras": 0.0,
    "upscale by LiteRT": 0.0,
    "SavedModel": 1e-5,
    "TFLite": 0.0,
    "degrade": 1e-5,
    "weights of styleVAE": 0.0,
    "training": 1e-4,
}


def settings(stage: str, folder: Path, **changes) -> config.FitConfig:
    """A small training with all that could differ: averages, a schedule, noise, critics."""
    given = {
        "stage": stage,
        "hr": str(folder / "photos"),
        "lr": str(folder / "photos"),
        "style": "classical",
        "hr_size": 32,
        "patch_size": 32,
        "batch_size": 4,
        "epochs": 1,
        "steps_per_epoch": STEPS,
        "log_steps": 1,
        "schedule": "cosine",
        "warmup_steps": 2,
        "ema": 0.5,
        "val": 0,
        "style_vae": {"latent_dim": 8, "filters": 8, "encoder_strides": [2, 1]},
        "sr_network": {"filters": 8, "global_blocks": 1, "local_blocks": 1, "kernel_size": 3},
    }
    return config.from_dict({**given, **changes})


def prepare(folder: Path) -> None:
    """What both stacks begin with: photos, models that this one wrote, and weights to train from."""
    (folder / "photos").mkdir(parents=True)
    for i in range(12):
        with Image.open(sample_photos()[i % 2]) as photo:
            box = (60 + 17 * i, 13 * i, 124 + 17 * i, 77 + 13 * i)
            photo.convert("RGB").crop(box).save(folder / "photos" / f"{i:02}.png")
    with Image.open(sample_photos()[0]) as photo:
        photo.convert("RGB").crop((100, 60, 228, 156)).save(folder / "photo.png")
    network = ssrvae_tf.load("faces-x4")
    export_saved_model(network, folder / "saved_model")
    export_tflite(network, folder / "model.tflite")
    EDSR(4, 8, 1).save(folder / "edsr.keras")
    for stage in ("sr", "style"):
        start = settings(stage, folder)
        keras.utils.set_random_seed(0)
        model = build(start)
        if isinstance(model, StyleVAE):
            model.build_networks()
        for layer in model.layers:  # gates start at 0, which hides what they let through
            if hasattr(getattr(layer, "attention", None), "gate"):
                layer.attention.gate.assign(0.5)
        (folder / stage).mkdir()
        config.write(start, folder / stage / CONFIG)
        save_weights(model, folder / stage / WEIGHTS)


def answers(folder: Path) -> dict[str, np.ndarray]:
    """What this stack gives, by names that begin with one of `ALLOWED`."""
    photo = np.asarray(Image.open(folder / "photo.png"))
    found = {}
    for name in ("faces-x4", "faces-x4-clean", folder / "edsr.keras"):
        found[f"predict, {Path(name).name}"] = ssrvae_tf.load(name).predict(photo, verbose=0)
    lr, network = photo[None, :40, :48].astype(np.float32) / 255.0, ssrvae_tf.load("faces-x4")
    with tempfile.TemporaryDirectory() as work:
        own = export_saved_model(network, Path(work, "saved_model"))
        found["SavedModel, its own"] = engine(own)(lr)
        found["SavedModel, made for the comparison"] = engine(folder / "saved_model")(lr)
        own = export_tflite(network, Path(work, "model.tflite"))
        found["TFLite, its own"] = engine(own)(lr)
        found["TFLite, made for the comparison"] = engine(folder / "model.tflite")(lr)
        ways = [(f"Keras, {name}", name, "keras") for name in ("faces-x4", "faces-x4-clean")]
        for kind, model, by in [*ways, ("LiteRT", str(folder / "model.tflite"), "auto")]:
            file = Path(work, f"{kind}.png")
            upscale_files([str(folder / "photo.png")], out=str(file), model=model, engine=by)
            found[f"upscale by {kind}"] = np.frombuffer(file.read_bytes(), np.uint8)

        model = ssrvae_tf.load("faces-style")
        hr = photo[None, :64, :64]
        for sampler in ("fitted", "normal"):
            found[f"degrade, {sampler}"] = model.degrade(hr, seed=3, sampler=sampler).numpy()
        found["degrade, in a style"] = model.degrade(hr, style=photo[None, :32, :32], seed=3).numpy()
        model = ssrvae_tf.load(folder / "style")
        found["degrade, by weights made for the comparison"] = model.degrade(hr, seed=3).numpy()
        save_weights(model, Path(work, WEIGHTS))
        for name, value in numbers(Path(work, WEIGHTS)).items():
            found[f"weights of styleVAE, {name}"] = value

        for stage in ("sr", "style"):
            out = Path(work, stage)
            fit(settings(stage, folder, init=str(folder / stage), out=str(out)))
            with (out / "steps.csv").open(newline="") as file:
                rows = list(csv.DictReader(file))
            for name in rows[0].keys() - {"step", "examples_per_second"}:
                found[f"training, {stage}: {name}"] = np.array([float(row[name]) for row in rows])
            for name, value in numbers(out / WEIGHTS).items():
                if not name.startswith("sampler"):  # of another order where two posteriors are as good
                    found[f"training, {stage}: {name}"] = value
    return found


def numbers(path: Path) -> dict[str, np.ndarray]:
    """All weights of a file by name."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


def differences(kept: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> list[tuple[str, float, float]]:
    """(kind of answer, the most that one of its answers differs by, the most allowed)."""
    apart = {}
    for name in kept.keys() | found.keys():
        kind = name.split(",")[0] if name.startswith(("training", "weights")) else name
        same = name in kept and name in found and kept[name].shape == found[name].shape
        most = np.inf
        if same:
            most = float(np.abs(kept[name].astype(np.float64) - found[name].astype(np.float64)).max(initial=0.0))
        if kind == "training":
            kind = name.split(":")[0]
            most /= max(1.0, float(np.abs(kept.get(name, np.ones(1))).max(initial=0.0)))
        apart[kind] = max(apart.get(kind, 0.0), most)
    return [(name, most, ALLOWED.get(name, ALLOWED.get(name.split(",")[0]))) for name, most in sorted(apart.items())]


def main() -> int:
    action, folder = sys.argv[1], Path(sys.argv[2])
    here = f"TensorFlow {tf.__version__}, Keras {keras.__version__}"
    if action == "make":
        prepare(folder)
        np.savez(folder / "answers.npz", **{name.replace("/", "|"): value for name, value in answers(folder).items()})
        (folder / "made_by.txt").write_text(here + "\n")
        print(f"{folder}: what {here} answers")
        return 0
    there = (folder / "made_by.txt").read_text().strip()
    with np.load(folder / "answers.npz") as file:
        kept = {name.replace("|", "/"): file[name] for name in file}
    rows = differences(kept, answers(folder))
    print(f"{there} and {here}:")
    for name, most, allowed in rows:
        print(f"  {'differs' if most > allowed else 'same   '}  {name}: {most:.1e}, at most {allowed:.0e}")
    return int(any(most > allowed for _, most, allowed in rows))


if __name__ == "__main__":
    sys.exit(main())
