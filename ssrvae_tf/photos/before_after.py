"""Bicubic beside ours, for people who would rather look: a sheet for each photo, a page with sliders for all."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from string import Template

import numpy as np
from PIL import Image
from scipy import ndimage

from ssrvae_tf.photos import files as photo_files
from ssrvae_tf.photos.files import Photo
from ssrvae_tf.photos.resizing import resized
from ssrvae_tf.photos.sheets import sheet
from ssrvae_tf.photos.writing import replacing, write_picture

_WHOLE = 1024  # longest side of a whole photo as it is shown
_DETAIL = 512  # side of the piece that is shown pixel by pixel
_MOST = 100  # photos on a page, whose pictures are inside it


def views(photo: Photo, result: Photo) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(title, bicubic, ours) of the whole and, where that is shrunk to be shown, of the piece with the most detail.

    Pictures are uint8 RGB, transparent parts white, both of a pair of one size.
    """
    height, width = result.pixels.shape[:2]
    ours = photo_files.shrunk(result, _WHOLE)
    size = ours.shape[1::-1]
    found = [("whole", resized(photo_files.shrunk(photo, _WHOLE), *size), ours)]
    if max(height, width) > _WHOLE:
        scale = height / photo.pixels.shape[0]
        top, left = _busiest(photo.pixels, max(1, int(_DETAIL / scale)))
        rows, columns = (min(int(_DETAIL / scale), side) for side in photo.pixels.shape[:2])
        piece = photo.pixels[top : top + rows, left : left + columns]
        y, x = round(top * scale), round(left * scale)
        ours = photo_files.shrunk(Photo(result.pixels[y : y + _DETAIL, x : x + _DETAIL]), _WHOLE)
        found.append(("detail", resized(photo_files.shrunk(Photo(piece), _WHOLE), *ours.shape[1::-1]), ours))
    return found


def write_sheet(pairs: list[tuple[str, np.ndarray, np.ndarray]], path: Path) -> Path:
    """A picture of what `views` gave."""
    cell = max(max(ours.shape[:2]) for _, _, ours in pairs)
    rows = [[bicubic, ours] for _, bicubic, ours in pairs]
    return write_picture(sheet(rows, ["bicubic", "ours"], cell=max(128, cell), enlarge="bicubic"), path)


class Page:
    """Collects pairs and writes them as one HTML file that needs nothing else."""

    def __init__(self):
        self._figures: list[str] = []
        self._left_out = 0

    def add(self, name: str, pairs: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
        """Put the pairs of a photo called `name` on the page, if there is room."""
        if len(self._figures) == _MOST:
            self._left_out += 1
            return
        parts = [
            _PAIR.substitute(name=html.escape(f"{name}, {title}"), bicubic=_inside(bicubic), ours=_inside(ours))
            for title, bicubic, ours in pairs
        ]
        self._figures.append(f"<section><h2>{html.escape(name)}</h2>{''.join(parts)}</section>")

    def write(self, path: Path) -> Path | None:
        """Write to `path`, beside and renamed, or under the first free number after it. None if there is nothing."""
        if not self._figures:
            return None
        free, number = path, 2
        while free.exists():
            free, number = path.with_name(f"{path.stem}-{number}{path.suffix}"), number + 1
        more = f"<p>{self._left_out} more photos are not on this page.</p>" if self._left_out else ""
        with replacing(free) as part:
            page = _PAGE.substitute(figures="\n".join(self._figures), more=more)
            part.write_text(page, encoding="utf-8", errors="backslashreplace")  # names of files may be in no encoding
        return free


def _busiest(pixels: np.ndarray, side: int) -> tuple[int, int]:
    """(top, left) of the window of that side with the strongest edges."""
    step = max(1, max(pixels.shape[:2]) // 1000)
    gray = pixels[::step, ::step, : 3 if pixels.shape[-1] > 2 else 1].mean(-1, dtype=np.float32)
    window = max(1, side // step)
    strength = ndimage.uniform_filter(ndimage.gaussian_gradient_magnitude(gray, 1.0), window, mode="constant")
    y, x = np.unravel_index(strength.argmax(), strength.shape)
    corner = (int(y) * step - side // 2, int(x) * step - side // 2)
    return tuple(min(max(0, start), max(0, length - side)) for start, length in zip(corner, pixels.shape))


def _inside(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=92, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


_PAIR = Template(
    '<div class="pair"><img src="$ours" alt="$name, ours"><img class="before" src="$bicubic" alt="$name, bicubic">'
    '<span>bicubic</span><span class="right">ours</span>'
    '<input type="range" min="0" max="100" step="0.1" value="50" aria-label="$name: from bicubic to ours"></div>'
)
_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Before and after</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1060px; padding: 0 1rem; color: #222; }
h2 { font-size: 1rem; overflow-wrap: anywhere; }
.pair { position: relative; display: inline-block; margin: 0 0 1rem; --at: 50%; }
.pair img { display: block; max-width: 100%; min-width: 256px; }
.pair .before { position: absolute; inset: 0; width: 100%; height: 100%; }
.pair .before { clip-path: inset(0 calc(100% - var(--at)) 0 0); }
.pair::after { content: ""; position: absolute; inset: 0 auto 0 var(--at); width: 2px; background: #fff; }
.pair span { position: absolute; bottom: .5rem; left: .5rem; padding: 0 .4rem; background: #000a; color: #fff; }
.pair .right { left: auto; right: .5rem; }
.pair input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize; }
.pair:focus-within { outline: 3px solid #36c; }
</style>
<h1>Before and after</h1>
<p>Drag across a picture, or use the arrow keys: bicubic on the left, ours on the right.</p>
$figures
$more
<script>
for (const input of document.querySelectorAll("input")) {
  input.addEventListener("input", () => input.parentElement.style.setProperty("--at", input.value + "%"));
}
</script>
</html>
""")
