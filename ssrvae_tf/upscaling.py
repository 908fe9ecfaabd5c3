"""Photo in, photo out: the part of `python -m ssrvae_tf.upscale` that notebooks and programs call too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ssrvae_tf.errors import UserError


def upscale(image, model="faces-x4"):
    """Enlarge one photo by the model's scale, the whole of it in one call.

    Colour goes through the network. A gray photo goes through as colour and comes back gray; an alpha channel is
    enlarged by bicubic interpolation.

    Args:
        image: a Pillow image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or float in [0, 1].
        model: name of a shipped set of weights, folder of a training run, or what `ssrvae_tf.load` gave: for more
            than one photo load once, then pass the model.

    Returns:
        The same kind: a Pillow image (L, RGB or RGBA), or an array of the same dtype and channels,
        (scale * H, scale * W, ...).

    Raises:
        UserError: if no SR network goes by the name `model`.
        TypeError, ValueError: if `image` is none of the above.

    Example:
        sharp = ssrvae_tf.upscale(Image.open("face.png"))
    """
    if isinstance(image, Image.Image):
        return Image.fromarray(upscale(np.asarray(_plain(image)), model))
    image = np.asarray(image)
    _check(image)
    network = sr_network(model)

    values = image.astype(np.float32) / (255.0 if image.dtype == np.uint8 else 1.0)
    pixels = values if image.ndim == 3 else values[..., None]  # (H, W, channels)
    colour = pixels[..., :3] if pixels.shape[-1] >= 3 else np.repeat(pixels, 3, axis=-1)  # (H, W, 3)
    result = np.asarray(network.predict(colour[None], verbose=0)[0], np.float32)  # (sH, sW, 3)
    if pixels.shape[-1] == 1:
        result = result.mean(-1, keepdims=True)
    elif pixels.shape[-1] == 4:
        alpha = Image.fromarray(pixels[..., 3]).resize(result.shape[1::-1], Image.BICUBIC)
        result = np.concatenate([result, np.asarray(alpha)[..., None]], axis=-1)

    result = np.clip(result, 0.0, 1.0).reshape(result.shape[: image.ndim])
    return np.rint(result * 255.0).astype(np.uint8) if image.dtype == np.uint8 else result.astype(image.dtype)


def sr_network(model):
    """The SR network of that name or folder; a network is passed through.

    Raises:
        UserError: if there is none, or it is a StyleVAE.
    """
    name = "the given model"
    if isinstance(model, (str, Path)):
        from ssrvae_tf.loading import load  # brings TensorFlow, which checks of the arguments need not wait for

        name, model = f"model {model}", load(model)
    if hasattr(model, "degrade"):
        raise UserError(f"{name} degrades photos, it cannot upscale them: choose an SR network such as faces-x4")
    return model


def _plain(image: Image.Image) -> Image.Image:
    """As L, RGB or RGBA."""
    if image.mode in ("L", "RGB", "RGBA"):
        return image
    if image.mode[0] in "IF":
        raise ValueError(f"a Pillow image of mode {image.mode} is given: convert it to L or RGB, or pass a float array")
    if image.mode == "1":
        return image.convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _check(image: np.ndarray) -> None:
    if image.dtype != np.uint8 and not np.issubdtype(image.dtype, np.floating):
        raise TypeError(f"an image of {image.dtype} is given, uint8 or float in [0, 1] is wanted: convert it")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[-1] not in (1, 3, 4)) or 0 in image.shape:
        raise ValueError(f"an image of shape {image.shape} is given, (H, W) or (H, W, 1, 3 or 4) is wanted")
    if image.dtype != np.uint8 and not (image.min() >= -0.01 and image.max() <= 1.01):  # also catches NaN
        raise ValueError(
            f"float values from {image.min():g} to {image.max():g} are given, [0, 1] is wanted: "
            "divide by 255, or pass uint8"
        )
