"""Bicubic beside ours, for people who would rather look: a folder of sheets, and a page that shows them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from string import Template
from urllib.parse import quote

import numpy as np
from scipy import ndimage

from ssrvae_tf.errors import UserError
from ssrvae_tf.photos import files as photo_files
from ssrvae_tf.photos import folders, records
from ssrvae_tf.photos.files import Photo
from ssrvae_tf.photos.folders import COMPARISON, Item
from ssrvae_tf.photos.resizing import resized
from ssrvae_tf.photos.sheets import BAND, side_by_side
from ssrvae_tf.photos.writing import replacing

_WHOLE = 1024  # longest side of a whole photo as it is shown
_DETAIL = 512  # side of the piece that is shown pixel by pixel
_SHEET, _DETAIL_SHEET = ".jpg", ".detail.jpg"  # what names of sheets have after those of results
_SHOWN = 10  # photos at once


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


class Comparisons:
    """A folder of sheets, named as the results, and a page with a slider for each.

    The page is made from what lies in the folder, whichever jobs and hosts have put it there.

    Args:
        folder: of the sheets.
        results: the folder that all results lie in.
    """

    def __init__(self, folder: Path, results: Path):
        self._folder, self._results = folder, results
        self.page = folder / COMPARISON

    def begin(self) -> None:
        """Make the folder, and the page, by which it is known as one of sheets.

        Raises:
            UserError: if nothing can be written there.
        """
        folders.check_folder(self._folder, "--compare")
        try:
            self.write_page()
        except OSError as error:
            reason = f"cannot be written ({error.strerror})"
            raise UserError(f"--compare {self._folder}: {reason}: choose another --out") from error

    def lacking(self, items: list[Item], results: list[Path]) -> list[Item]:
        """Those of some results that have no sheet, or that of an earlier result of their name."""
        chosen = set(results)
        return [item for item in items if item.target in chosen and self._lacks(item.target)]

    def _lacks(self, result: Path) -> bool:
        sheet = self._sheet(result, _SHEET)
        return not sheet.is_file() or records.made(sheet) != records.made(result)

    def write(self, result: Path, photo: Photo, enlarged: Photo) -> None:
        """Write the sheets of one result.

        Args:
            result: its file, which is there.
            photo, enlarged: what it was made of, and itself.

        Raises:
            OSError: if they cannot be written.
        """
        (whole, *detail), made = views(photo, enlarged), records.made(result) or ""
        for suffix, pairs in ((_DETAIL_SHEET, detail), (_SHEET, [whole])):  # the one that tells that all is there last
            path = self._sheet(result, suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            for _, bicubic, ours in pairs:
                sheet = Photo(side_by_side(bicubic, ours, ("bicubic", "ours")))
                photo_files.write(sheet, path, quality=92, made=made)
            if not pairs:
                path.unlink(missing_ok=True)

    def write_page(self) -> Path:
        """Write the page that shows all sheets whose results are there.

        Raises:
            OSError: if it cannot be written.
        """
        found = []
        for sheet in self._folder.rglob(f"*{_SHEET}"):
            name = sheet.relative_to(self._folder).as_posix()
            if not sheet.name.startswith(".") and not name.endswith(_DETAIL_SHEET):
                name = name[: -len(_SHEET)]
                if (self._results / name).is_file():
                    found.append((name, int(self._sheet(self._results / name, _DETAIL_SHEET).is_file())))
        photos = json.dumps([(quote(os.fsencode(name)), detail) for name, detail in sorted(found)])
        with replacing(self.page) as part:
            part.write_text(_PAGE.substitute(photos=photos, band=BAND, shown=_SHOWN), encoding="utf-8")
        return self.page

    def _sheet(self, result: Path, suffix: str) -> Path:
        place = os.path.relpath(result.parent.resolve(), self._results.resolve())
        return self._folder / place / (result.name + suffix)


def _busiest(pixels: np.ndarray, side: int) -> tuple[int, int]:
    """(top, left) of the window of that side with the strongest edges."""
    step = max(1, max(pixels.shape[:2]) // 1000)
    gray = pixels[::step, ::step, : 3 if pixels.shape[-1] > 2 else 1].mean(-1, dtype=np.float32)
    window = max(1, side // step)
    strength = ndimage.uniform_filter(ndimage.gaussian_gradient_magnitude(gray, 1.0), window, mode="constant")
    y, x = np.unravel_index(strength.argmax(), strength.shape)
    corner = (int(y) * step - side // 2, int(x) * step - side // 2)
    return tuple(min(max(0, start), max(0, length - side)) for start, length in zip(corner, pixels.shape))


_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Before and after</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1060px; padding: 0 1rem; color: #222; }
h2 { font-size: 1rem; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; margin: 1rem 0; }
nav input { width: 5rem; font: inherit; }
nav [type=search] { width: 14rem; }
button { font: inherit; }
.pair { position: relative; max-width: 100%; margin: 0 0 1rem; --at: 50%; }
.half { position: absolute; inset: 0; background: 100% 100% / 200% auto no-repeat; }
.bicubic { background-position: 0 100%; clip-path: inset(0 calc(100% - var(--at)) 0 0); }
.pair::after { content: ""; position: absolute; inset: 0 auto 0 var(--at); width: 2px; background: #fff; }
.pair span { position: absolute; bottom: .5rem; left: .5rem; padding: 0 .4rem; background: #000a; color: #fff; }
.pair .right { left: auto; right: .5rem; }
.pair input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize; }
.pair:focus-within { outline: 3px solid #36c; }
</style>
<h1>Before and after</h1>
<p>Drag across a picture, or use the arrow keys: bicubic on the left, ours on the right.</p>
<nav>
<button id="back">Back</button>
<label>page <input id="page" type="number" min="1"> of <output id="pages"></output></label>
<button id="on">Next</button>
<label>only names with <input id="part" type="search"></label>
</nav>
<main></main>
<noscript>The pictures lie in the folder of this page.</noscript>
<script>
"use strict";
const PHOTOS = $photos; // [place of the result, quoted; whether there is a detail]
const BAND = $band, SHOWN = $shown; // height of a sheet's titles; photos on a page
const controls = ["back", "on", "page", "pages", "part"].map((id) => document.getElementById(id));
const [back, on, number, pages, part] = controls;
let kept = PHOTOS, page = 1;

function plain(place) {
  try { return decodeURIComponent(place); } catch { return place; } // names of files may be in no encoding
}

function element(kind, settings, ...inside) {
  const made = Object.assign(document.createElement(kind), settings);
  made.append(...inside);
  return made;
}

function pair(sheet, name) {
  const halves = ["ours", "bicubic"].map((which) => element("div", { className: "half " + which }));
  const slider = element("input", { type: "range", min: 0, max: 100, step: 0.1, value: 50 });
  slider.setAttribute("aria-label", name + ": from bicubic to ours");
  const titles = [element("span", {}, "bicubic"), element("span", { className: "right" }, "ours")];
  const box = element("div", { className: "pair" }, ...halves, ...titles, slider);
  slider.addEventListener("input", () => box.style.setProperty("--at", slider.value + "%"));
  const picture = new Image();
  picture.onload = () => {
    const width = picture.naturalWidth / 2;
    box.style.width = Math.max(width, 256) + "px";
    box.style.aspectRatio = width + " / " + (picture.naturalHeight - BAND);
    halves.forEach((half) => { half.style.backgroundImage = 'url("' + sheet + '")'; });
  };
  picture.onerror = () => box.replaceWith("its sheet is gone");
  picture.src = sheet;
  return box;
}

function photo([place, detail]) {
  const name = plain(place);
  const sheets = [pair("./" + place + ".jpg", name)];
  if (detail) sheets.push(pair("./" + place + ".detail.jpg", name + ", detail"));
  return element("section", {}, element("h2", {}, name), ...sheets);
}

function told() {
  return Number(location.hash.slice(1));
}

function show(wanted) {
  const last = Math.max(1, Math.ceil(kept.length / SHOWN));
  page = Math.min(Math.max(1, wanted || 1), last);
  document.querySelector("main").replaceChildren(...kept.slice((page - 1) * SHOWN, page * SHOWN).map(photo));
  [number.value, number.max, pages.value] = [page, last, last + " (" + kept.length + " photos)"];
  [back.disabled, on.disabled] = [page === 1, page === last];
  location.hash = page;
}

back.addEventListener("click", () => show(page - 1));
on.addEventListener("click", () => show(page + 1));
number.addEventListener("change", () => show(Number(number.value)));
window.addEventListener("hashchange", () => {
  if (told() !== page) show(told());
});
part.addEventListener("input", () => {
  kept = PHOTOS.filter(([place]) => plain(place).toLowerCase().includes(part.value.toLowerCase()));
  show(1);
});
show(told());
</script>
</html>
""")
