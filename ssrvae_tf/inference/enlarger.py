"""Photo in, photo out: the part of `python -m ssrvae_tf.upscale` that notebooks and programs call too."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Callable, Iterator, Sequence, TypeVar

import numpy as np
from PIL import Image
from scipy import ndimage

from ssrvae_tf.errors import UserError
from ssrvae_tf.faces import Face
from ssrvae_tf.inference.fast_engine import fastest
from ssrvae_tf.inference.rebuilding import FINDING, faces_in, part_of, pixels_of, rebuild, regions, to_float
from ssrvae_tf.inference.tiling import axis, blended_bands
from ssrvae_tf.loading import places
from ssrvae_tf.photos import files as photo_files
from ssrvae_tf.photos.resizing import resized
from ssrvae_tf.resources import free_memory
from ssrvae_tf.terminal import Bar

OVERLAP = 8
_TILE = 48  # the cost of a pixel grows with the area of its tile, that of the overlap falls; benchmarks/upscaling.py
_ONE_TILE = 96**2  # a face goes through as a whole: what it looks like on one side tells about the other
BICUBIC = "bicubic"  # of backgrounds: without a network
BORDER = 4  # pixels of mirror image around a photo: less shows in the corners of even areas, more costs time
_SMALLEST = 16
_ROW = 64  # tiles that are given at once, if an engine wants many
OF_FACES = 20  # a photo has as many times more pixels than its faces, or more, mostly
_STRIP = 64  # rows of a photo that are enlarged at once without a network
_BICUBIC_IS_FASTER = 30  # times than a network
_REACH = 4  # pixels: bicubic interpolation looks no further
_BYTES_A_PIXEL = 60_000  # of a tile, inside the shipped networks
_COLOURS = {1: 1, 2: 1, 3: 3, 4: 3}  # channels -> colour channels among them

Kind = TypeVar("Kind", Image.Image, np.ndarray)


def upscale(
    image: Kind,
    model: Any = places.DEFAULT,
    tile: int | str = "auto",
    progress: Callable[[int, int], None] | bool | None = None,
    *,
    overlap: int = OVERLAP,
    batch: int = 1,
    strength: float = 1.0,
    detail: float | None = None,
    detailed: Any = None,
    engine: str = "auto",
    precision: str = "float32",
    faces: bool | Sequence[Face] = False,
    background: Any = BICUBIC,
) -> Kind:
    """Enlarge photos by the model's scale, each of any size, in bounded memory.

    Photos get a border of their mirror image, which is cut off again; without it, even areas change at the corners.
    What is larger than a tile is cut into overlapping tiles, which are blended. Colour goes through the network; gray
    photos go through as colour and come back gray; an alpha channel is enlarged by bicubic interpolation, and colours
    under fully transparent pixels are replaced by those of the nearest visible ones.

    Args:
        image: a Pillow image, whose EXIF orientation is applied, or an array (H, W), (H, W, C) or a batch (B, H, W, C),
            C 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGBA); uint8, uint16 or float in [0, 1].
        model: name of a shipped set of weights (faces-x4 unless told), folder of a training run, exported SavedModel or
            `.tflite` file, or what `ssrvae_tf.load` gave: for more than one photo load once, then pass the model.
        tile: the longest side of a tile in pixels of the photo, or "auto": a photo of up to 96x96 is one tile; others
            get tiles of up to 48x48, less where memory is short. Where it runs out, tiles are halved.
        progress: True for a bar, or a function that is called with (rows done, rows in all) of the result.
        overlap: pixels of the photo that neighbouring tiles share.
        batch: tiles that go through the network together.
        strength: 1 is the network's result, 0 the bicubic one, between them a blend.
        detail: of a model that is not loaded yet, as for `ssrvae_tf.load`.
        detailed: likewise.
        engine: of a model that is given by name or run: "auto" takes the fastest on this machine, from a file that the
            first image of a megapixel makes; "openvino", "litert" or "keras".
        precision: "float32", or "bfloat16" by OpenVINO on processors that have it.
        faces: True finds the faces and rebuilds them alone; or those that `ssrvae_tf.faces.find_faces` found.
        background: what the rest is enlarged by then: "bicubic", which adds nothing, or a model.

    Returns:
        The same kind: a Pillow image (L, LA, I;16, RGB or RGBA), with colour profile and EXIF data in its `info`, or an
        array of the same dtype and channels, (..., scale * H, scale * W, C).

    Raises:
        UserError: if no SR network goes by the name `model`, or `detail` or the engine is not for it.
        TypeError, ValueError: if an argument is none of the above.
        MemoryError: if even tiles of 16 pixels, or the result, are too large.

    Examples:
        >>> photo = Image.open("photo.jpg")
        >>> large = ssrvae_tf.upscale(photo)
        >>> large.size == (4 * photo.width, 4 * photo.height)
        True
    """
    model = places.chosen(model, detail, detailed)
    if isinstance(image, Image.Image):
        photo = photo_files.of_image(image)
        settings: dict[str, Any] = {"overlap": overlap, "batch": batch, "strength": strength}
        settings.update(engine=engine, precision=precision, faces=faces, background=background)
        return photo_files.to_image(
            dataclasses.replace(photo, pixels=upscale(photo.pixels, model, tile, progress, **settings))
        )
    image = np.asarray(image)
    image = image.astype(image.dtype.newbyteorder("="), copy=False)
    _check(image)
    _check_settings(tile, overlap, batch, strength)
    photos = image if image.ndim == 4 else image[None]
    photos = photos if photos.ndim == 4 else photos[..., None]
    if faces and not isinstance(faces, bool) and len(photos) > 1:
        raise ValueError(f"faces of one photo are given with {len(photos)} photos: pass True, or one photo at a time")
    pixels = int(np.prod(photos.shape[:3]))
    runner = fastest(model, pixels if faces is False else pixels // OF_FACES, engine, precision)
    scale = runner.scale
    behind = background_engine(background, pixels, scale, engine, precision) if faces is not False else runner
    shape = (len(photos), photos.shape[1] * scale, photos.shape[2] * scale, photos.shape[3])
    result = np.empty(shape, image.dtype)
    enlarge = functools.partial(_enlarge_into, tile=tile, overlap=overlap, batch=batch, strength=strength)
    with _Reporter(progress, shape[0] * shape[1]) as report:
        for photo, out in zip(photos, result):
            if faces is False:
                enlarge(out, photo, runner, report=report)
            else:
                _rebuild_into(out, photo, runner, behind, faces, enlarge, report)
    return result.reshape(*image.shape[: -2 if image.ndim == 2 else -3], *shape[1:3], *image.shape[2:][-1:])


def background_engine(
    background: Any, pixels: int, scale: int, engine: str, precision: str, device: str | None = None
) -> Any:
    """What the background of rebuilt faces is enlarged by: an engine, or None for bicubic interpolation.

    Raises:
        UserError: if it enlarges otherwise than by `scale`, or there is no such model.
    """
    if background is None or isinstance(background, str) and background == BICUBIC:
        return None
    found = fastest(places.chosen(background), pixels, engine, precision, device)
    if found.scale != scale:
        scales = f"it enlarges {found.scale} times, the faces' network {scale} times"
        raise UserError(f"--background {background}: {scales}: give one of that scale, or bicubic")
    return found


def _rebuild_into(
    out: np.ndarray,
    photo: np.ndarray,
    engine: Any,
    behind: Any,
    faces: bool | Sequence[Face],
    enlarge: Callable,
    report: Callable[[int, int], None],
) -> None:
    """Fill `out` from `photo`, its faces by `engine`, all else by `behind`; `enlarge` is `_enlarge_into`."""

    def enlarged(crop: np.ndarray, report: Callable[[int, int], None]) -> np.ndarray:
        made = np.empty((crop.shape[0] * engine.scale, crop.shape[1] * engine.scale, crop.shape[2]), crop.dtype)
        enlarge(made, crop, engine, report=report)
        return made

    rows, last = len(out), len(out) - 1  # all are done but once, at the end
    begun = int(FINDING * rows) if isinstance(faces, bool) else 0
    found = faces_in(photo, part_of(report, 0, begun, rows)) if isinstance(faces, bool) else faces
    where = regions(found, *photo.shape[:2])
    around = photo.shape[0] * photo.shape[1] / (_BICUBIC_IS_FASTER if behind is None else 1)
    middle = begun + int((last - begun) * around / (around + pixels_of(where)))  # by what either costs
    if behind is None:
        _enlarge_bicubic(out, photo, engine.scale, part_of(report, begun, middle, rows))
    else:
        enlarge(out, photo, behind, report=part_of(report, begun, middle, rows))
    rebuild(out, photo, where, _COLOURS[photo.shape[2]], enlarged, part_of(report, middle, last, rows))
    report(rows, rows)


def _enlarge_bicubic(out: np.ndarray, photo: np.ndarray, scale: int, report: Callable[[int, int], None]) -> None:
    """Fill `out` from `photo` by bicubic interpolation, some rows at a time."""
    for top in range(0, len(photo), _STRIP):
        above = min(top, _REACH)
        strip = photo[top - above : top + _STRIP + _REACH]
        band = _enlarge_tiles(strip[None], None, 0.0, scale)[0, above * scale :]
        rows = out[top * scale : (top + _STRIP) * scale]
        _convert(band[: len(rows)], rows)
        report(min(top + _STRIP, len(photo)), len(photo))


def _enlarge_into(
    out: np.ndarray,
    photo: np.ndarray,
    engine: Any,
    tile: int | str,
    overlap: int,
    batch: int,
    strength: float,
    report: Callable[[int, int], None],
) -> None:
    """Fill `out` (scale H, scale W, C) from `photo` (H, W, C), both of one dtype."""
    longest = _auto_tile(photo, batch) if isinstance(tile, str) else tile
    while True:
        try:
            done = 0
            for band in _bands(photo, engine, longest, overlap, batch, strength):
                stop = min(done + len(band), len(out))
                _convert(band[: stop - done, : out.shape[1]], out[done:stop])
                done = stop
                report(done, len(out))
            return
        except MemoryError:
            if longest <= _SMALLEST or engine.fixed_size:
                raise
            # On from a row that is done would show as an edge: tiles of another size see something else.
            longest = max(_SMALLEST, min(longest, max(photo.shape[:2])) // 2)


def _bands(
    photo: np.ndarray, engine: Any, longest: int, overlap: int, batch: int, strength: float
) -> Iterator[np.ndarray]:
    """The result from top to bottom, in bands of rows; to the right and below there may be more than belongs to it."""
    sides, fixed = engine.fixed_size or (longest, longest), engine.fixed_size is not None
    bordered = [length + 2 * BORDER for length in photo.shape[:2]]
    lacking = [max(0, side - length) if fixed else 0 for side, length in zip(sides, bordered)]
    photo = np.pad(photo, [*((BORDER, BORDER + more) for more in lacking), (0, 0)], "symmetric")
    rows, columns = (axis(n, side, min(overlap, side // 2), fixed) for n, side in zip(photo.shape, sides))
    if getattr(engine, "parallel", False):
        count = len(columns.starts)
        batch = max(batch, -(-count // -(-count // _ROW)))

    def tiles_at(corners: list[tuple[int, int]]) -> np.ndarray:
        tiles = [photo[top : top + rows.tile, left : left + columns.tile] for top, left in corners]
        return _enlarge_tiles(np.stack(tiles), engine, strength, engine.scale)

    edge = above = BORDER * engine.scale
    for band in blended_bands(rows, columns, engine.scale, batch, tiles_at):
        cut = min(above, len(band))
        above -= cut
        yield band[cut:, edge:]


def _auto_tile(photo: np.ndarray, batch: int) -> int:
    height, width = photo.shape[:2]
    room = free_memory() // 2 // (_BYTES_A_PIXEL * batch)  # pixels
    if height * width <= min(_ONE_TILE, room):
        return max(height, width) + 2 * BORDER
    return int(np.clip(room**0.5, _SMALLEST, _TILE))


def _enlarge_tiles(tiles: np.ndarray, engine: Any, strength: float, scale: int) -> np.ndarray:
    """(B, h, w, C) of any dtype -> (B, scale h, scale w, C) float32."""
    values = to_float(tiles)
    colours = _COLOURS[values.shape[-1]]
    colour, alpha = values[..., :colours], values[..., colours:]
    if alpha.size:
        colour = np.stack([_filled(*each) for each in zip(colour, alpha)])
    enlarged = bicubic(colour, scale) if strength < 1 else np.zeros((), np.float32)
    if strength > 0:
        sr = engine(np.repeat(colour, 3, -1) if colours == 1 else colour)
        sr = sr.mean(-1, keepdims=True) if colours == 1 else sr
        enlarged = strength * sr + (1 - strength) * enlarged
    return np.concatenate([enlarged, bicubic(alpha, scale)], -1) if alpha.size else enlarged


def _filled(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colour (h, w, C) with that of the nearest visible pixel wherever alpha (h, w, 1) hides all."""
    hidden = alpha[..., 0] == 0
    if not hidden.any() or hidden.all():
        return colour
    nearest = ndimage.distance_transform_edt(hidden, return_distances=False, return_indices=True)
    return colour[tuple(nearest)]


def bicubic(images: np.ndarray, scale: int) -> np.ndarray:
    """Pillow's bicubic enlargement: (B, h, w, C) float32 -> (B, scale h, scale w, C) float32, not clipped."""
    height, width = (scale * side for side in images.shape[1:3])
    return np.stack([resized(image, width, height) for image in images])


def _convert(band: np.ndarray, out: np.ndarray) -> None:
    """float32 to the dtype of `out`, in place in both."""
    np.clip(band, 0.0, 1.0, out=band)
    if np.issubdtype(out.dtype, np.integer):
        band *= np.iinfo(out.dtype).max
        np.rint(band, out=band)
    out[...] = band


class _Reporter:
    """Counts rows over all photos of a batch, for a function or a bar."""

    def __init__(self, progress: Callable[[int, int], None] | bool | None, total: int):
        self._progress, self._total = progress, total
        self._bar = Bar(total=total, unit="row", desc="upscale") if progress is True else None
        self._before = 0

    def __enter__(self) -> Callable[[int, int], None]:
        return self._report

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.close()

    def _report(self, done: int, rows: int) -> None:
        """`done` of this photo's `rows` are done."""
        if self._bar:
            self._bar.n = self._before + done
            self._bar.refresh()
        elif callable(self._progress):
            self._progress(self._before + done, self._total)
        if done == rows:
            self._before += rows


def _check(image: np.ndarray) -> None:
    if image.dtype not in (np.uint8, np.uint16) and not np.issubdtype(image.dtype, np.floating):
        raise TypeError(f"an image of {image.dtype} is given, uint8, uint16 or float in [0, 1] is wanted: convert it")
    if image.ndim not in (2, 3, 4) or (image.ndim > 2 and image.shape[-1] not in _COLOURS) or 0 in image.shape[-3:]:
        raise ValueError(f"an image of shape {image.shape} is given, (H, W), (H, W, 1 to 4) or a batch is wanted")
    floating = image.size and np.issubdtype(image.dtype, np.floating)
    if floating and not (image.min() >= -0.01 and image.max() <= 1.01):  # NaN, too
        raise ValueError(
            f"float values from {image.min():g} to {image.max():g} are given, [0, 1] is wanted: "
            "divide by 255, or pass uint8"
        )


def _check_settings(tile: int | str, overlap: int, batch: int, strength: float) -> None:
    if tile != "auto" and not (isinstance(tile, (int, np.integer)) and tile >= _SMALLEST):
        raise ValueError(f'tile is {tile!r}: it must be "auto" or a whole number, at least {_SMALLEST}')
    if overlap < 0 or batch < 1 or not 0 <= strength <= 1:
        raise ValueError(
            f"overlap {overlap}, batch {batch}, strength {strength}: they must be at least 0, at least 1, from 0 to 1"
        )
