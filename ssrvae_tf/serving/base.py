"""What both clients share: images in and out, over calls that each makes in its own protocol."""

from __future__ import annotations

import abc
import io
from typing import TypeVar

import numpy as np
from PIL import Image

from ssrvae_tf.serving.errors import ServingError

Photo = TypeVar("Photo", Image.Image, np.ndarray)
Own = TypeVar("Own", bound="Client")
_CHANNELS = (1, 2, 3, 4)
_LONGEST = 1_000_000  # seconds, 11 days; a socket cannot wait for more than 24


class Client(abc.ABC):
    """One model on one server. May be used by several threads at once; `with` closes its connections.

    Args:
        address: of the server.
        model: its name there.
        version: None for the newest.
        timeout: seconds that one try may take; as long as the compose file lets the server take for the largest photos.
        retries: how often a request is repeated, each time after a longer pause, where the server is not there, or
            says that it is busy or ran out of time. Never after `timeout`, which would double the load, for the server
            is still at work then, and never where it refused.
        signature: the one that takes and gives encoded images.

    Raises:
        ValueError: if `version`, `timeout` or `retries` is out of range.

    Examples:
        >>> isinstance(client("http://localhost:8501"), Client)
        True
    """

    def __init__(self, address: str, model: str, version: int | None, timeout: float, retries: int, signature: str):
        if not 0 < timeout <= _LONGEST or retries < 0:
            wanted = f"more than 0 and at most {_LONGEST:,}, and at least 0, are wanted"
            raise ValueError(f"timeout {timeout}, retries {retries} are given: {wanted}")
        self.version = None if version is None else int(version)
        if self.version is not None and not 0 <= self.version < 2**63:
            raise ValueError(f"version {version} is given: 0 or more, below 2**63, is wanted")
        self.address, self.model = address, model
        self.timeout, self.retries, self.signature = timeout, retries, signature

    @abc.abstractmethod
    def ready(self) -> bool:
        """Whether the server is there and serves this model, and this version if one was given."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close the connections."""

    @abc.abstractmethod
    def _predict_bytes(self, signature: str, values: list[bytes], output: str) -> list[bytes]:
        """Call a signature from `image_bytes` (N,) to `output` (N,)."""

    @abc.abstractmethod
    def _predict_floats(self, lr: np.ndarray) -> np.ndarray:
        """Call `serving_default`: `lr` float32 (B, H, W, 3) -> `sr` float32 (B, scale H, scale W, 3)."""

    def upscale(self, image: Photo) -> Photo:
        """Enlarge one photo, the whole of it in one request.

        Gray photos go through as colour and come back gray; an alpha channel is enlarged by bicubic interpolation.
        uint8 travels as PNG. Float arrays travel as numbers: nothing is rounded, but over REST a number takes about 20
        bytes.

        Args:
            image: a Pillow image, or an array uint8 (H, W), (H, W, C), C 1 (gray), 2 (gray, alpha), 3 or 4 (RGBA), or
                float in [0, 1] (H, W, 3) or (B, H, W, 3).

        Returns:
            The same kind, sides multiplied by the model's scale: a Pillow image L, LA, RGB or RGBA, or an array of the
            same dtype and channels.

        Raises:
            ServerAway: if nothing answers, or not in time.
            RequestRefused: if the server refuses, as it does for too many pixels.
            ServingError: if its answer makes no sense.
            TypeError, ValueError: if `image` is none of the above.
        """
        if isinstance(image, Image.Image):
            return self._upscale_picture(image)
        image = np.asarray(image)
        if np.issubdtype(image.dtype, np.floating):
            return self._upscale_floats(image)
        if image.dtype != np.uint8:
            raise TypeError(f"an image of {image.dtype} is given, uint8 or float in [0, 1] is wanted: convert it")
        if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[-1] not in _CHANNELS) or 0 in image.shape:
            raise ValueError(f"an image of shape {image.shape} is given, (H, W) or (H, W, 1 to 4) is wanted")
        single = image.ndim == 3 and image.shape[-1] == 1
        result = np.asarray(self._upscale_picture(Image.fromarray(image[..., 0] if single else image)))
        return result[..., None] if single else result

    def degrade(self, image: Photo) -> Photo:
        """Shrink one sharp photo in the way that a styleVAE learnt, where the server's model is one.

        Args:
            image: a Pillow image, or a uint8 array (H, W, 3), of the size that the model was trained for.

        Returns:
            The same kind, RGB.

        Raises:
            as `upscale`
        """
        if isinstance(image, Image.Image):
            return _decoded(self.degrade_bytes([_png(image)])[0])
        image = np.asarray(image)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise ValueError(f"an image {image.dtype} {image.shape} is given, uint8 (H, W, 3) is wanted: convert it")
        return np.asarray(self.degrade(Image.fromarray(image)))

    def upscale_bytes(self, images: list[bytes]) -> list[bytes]:
        """Enlarge encoded images in one request: JPEG, PNG, GIF or BMP of any sizes -> PNG, in the same order.

        Raises:
            as `upscale`
        """
        return self._checked_bytes(self.signature, images, "sr_png_bytes")

    def degrade_bytes(self, images: list[bytes]) -> list[bytes]:
        """As `upscale_bytes`, for a styleVAE's signature `degrade_bytes`."""
        return self._checked_bytes("degrade_bytes", images, "lr_png_bytes")

    def _checked_bytes(self, signature: str, images: list[bytes], output: str) -> list[bytes]:
        if isinstance(images, (bytes, str)):
            raise TypeError("one image is given, a list of images is wanted: [image]")
        images = [bytes(image) for image in images]
        if not images:
            return []
        answers = self._predict_bytes(signature, images, output)
        if len(answers) != len(images):
            raise ServingError(f"{self.address}: {len(images)} images were sent, {len(answers)} came back")
        return answers

    def _upscale_picture(self, image: Image.Image) -> Image.Image:
        if image.mode[0] in "IF":
            raise ValueError(f"a Pillow image of mode {image.mode} is given: convert it to L or RGB")
        alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
        result = _decoded(self.upscale_bytes([_png(image)])[0])
        if result.width % image.width or result.width * image.height != result.height * image.width:
            sizes = f"{image.width}x{image.height} was sent, {result.width}x{result.height} came back"
            raise ServingError(f"{self.address}: {sizes}: is {self.model} a network for super-resolution?")
        if Image.getmodebase(image.mode) == "L":
            result = result.convert("L")
        if alpha is not None:
            result.putalpha(alpha.resize(result.size, Image.Resampling.BICUBIC))
        return result

    def _upscale_floats(self, image: np.ndarray) -> np.ndarray:
        if image.ndim not in (3, 4) or image.shape[-1] != 3 or 0 in image.shape:
            raise ValueError(f"floats of shape {image.shape} are given, (H, W, 3) or (B, H, W, 3) is wanted")
        if not (image.min() >= 0 and image.max() <= 1):  # NaN, too
            raise ValueError(f"float values from {image.min():g} to {image.max():g} are given, [0, 1] is wanted")
        lr = image.astype(np.float32).reshape(-1, *image.shape[-3:])
        sr = self._predict_floats(lr)
        if sr.ndim != 4 or len(sr) != len(lr) or sr.shape[-1] != 3:
            raise ServingError(f"{self.address}: {lr.shape} was sent, {sr.shape} came back: what is {self.model}?")
        return sr.reshape(*image.shape[:-3], *sr.shape[1:]).astype(image.dtype)

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.convert("RGB").save(file, "PNG", compress_level=1)  # on the way for a moment only
    return file.getvalue()


def _decoded(data: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGB")
    except OSError as error:
        raise ServingError(f"the server's answer is not an image ({error}): is its signature one of images?") from error
