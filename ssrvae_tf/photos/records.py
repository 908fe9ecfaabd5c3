"""What made a result, kept in the result: whole when that is, and wherever it goes.

A record is a line of JSON that is the same for the same photo, network and options, on whatever machine. It lies in the
file's XMP packet, which all formats of results have, beside what the photo's own says. What computed it lies beside the
record: other engines give the same pixels but for roundings, and do not make results anew. Precisions below float32 do.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
from pathlib import Path
from typing import Iterable

from PIL import Image

from ssrvae_tf.photos.formats import SUFFIXES, open_image, packet_of

_RDF = b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
_OPEN, _CLOSE = b'<rdf:Description %s rdf:about="" xmlns:ssrvae_tf="urn:ssrvae_tf:" ssrvae_tf:made="' % _RDF, b'"/>'
# By the letter: programs that edit a picture write it in another way, and what they made of it is not to be replaced.
_OURS = re.compile(re.escape(_OPEN) + b'([^"]*)(?:" ssrvae_tf:computed_by="[^"]*)?' + re.escape(_CLOSE))
_UNSAID = {"precision": "float32", "background": "as the faces"}  # what records without these mean
_EMPTY = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'


def record(**what) -> str:
    """The record of something made by these numbers and texts."""
    return json.dumps(what, sort_keys=True)


def of_result(
    target,
    photo: int | None,
    model: str,
    scale: float,
    quality: int,
    tile,
    overlap: int,
    strength: float,
    detail: float | None = None,
    precision: str = "float32",
    background: str | None = None,
    **_,
) -> str:
    """What makes an enlarged photo: whatever changes its pixels.

    Args:
        target: its name.
        photo: bytes of the file that the photo comes in.
        model: by `ssrvae_tf.inference.identity`.
        scale, quality, tile, overlap, strength, precision: as for `ssrvae_tf.upscale.upscale_files`.
        detail: of two sets of weights; None: there is one, and nothing is said.
        background: what all but the faces is enlarged by; None: the model, and nothing is said.

    What else is given, such as `batch`, changes no pixels, or shows in one of these.
    """
    quality = quality if SUFFIXES[Path(target).suffix.lower()] in ("jpeg", "webp") else None
    numbers = {"scale": float(scale), "strength": float(strength), "overlap": int(overlap)}
    numbers.update({} if detail is None else {"detail": float(detail)})
    others = {} if precision == "float32" else {"precision": precision}
    others.update({} if background is None else {"background": background})
    return record(photo=photo, model=model, quality=quality, tile=str(tile), **numbers, **others)


def of_pair(photo: int | None, style: str, looks: str | None, inside: str, number: int, seed: int) -> str:
    """What makes a degraded photo.

    Args:
        photo: bytes of the file that the sharp photo comes in.
        style: the StyleVAE, by `ssrvae_tf.inference.identity`.
        looks: the real small photos, by `of_photos`; None: the StyleVAE draws styles.
        inside, number, seed: as for `ssrvae_tf.inference.degrader.chance`.
    """
    return record(photo=photo, style=style, looks=looks, inside=inside, number=number, seed=seed)


def of_photos(photos: Iterable[tuple[str, int]]) -> str:
    """A short digest of many photos: (place, bytes) of each, in order."""
    lines = "".join(f"{size} {place}\n" for place, size in photos)
    return hashlib.sha256(os.fsencode(lines)).hexdigest()[:16]


def with_record(packet: bytes | None, made: str, computed_by: str = "") -> bytes | None:
    """A photo's XMP packet with a record, in the place of an earlier one, and with what computed it.

    A packet that is not understood comes back as it was.
    """
    packet = _OURS.sub(b"", packet or _EMPTY)
    by = f'" ssrvae_tf:computed_by="{html.escape(computed_by)}' if computed_by else ""
    ours = _OPEN + (html.escape(made) + by).encode() + _CLOSE
    before, end, after = packet.rpartition(b"</rdf:RDF>")
    if not end:
        ours = b"<rdf:RDF %s>%s</rdf:RDF>" % (_RDF, ours)
        before, end, after = packet.rpartition(b"</x:xmpmeta>")
    return before + ours + end + after if end else packet


def find(packet: bytes | None) -> str | None:
    """The record in an XMP packet, None if there is none."""
    found = _OURS.search(packet or b"")
    return html.unescape(found[1].decode("ascii", "replace")) if found else None


def made(path: Path) -> str | None:
    """The record in a file, None if it holds none or cannot be read."""
    try:
        with open_image(path) as image:
            return find(packet_of(image))
    except Image.UnidentifiedImageError:
        return _of_tiff(path)
    except Exception:  # of many kinds, by Pillow's plugins
        return None


def _of_tiff(path: Path) -> str | None:
    """Of kinds that Pillow does not know."""
    if SUFFIXES.get(path.suffix.lower()) != "tiff":
        return None
    from ssrvae_tf.photos import files  # which libvips takes a while to load for

    try:
        return find(files.packet(path))
    except Exception:
        return None


def difference(before: str, now: str) -> str:
    """What differs between two records, as "strength 0.7, now 1.0"; "" if nothing does."""
    try:
        old, new = json.loads(before), json.loads(now)
        unsaid = {name: value for name, value in _UNSAID.items() if name in {**old, **new}}
        old, new = {**unsaid, **old}, {**unsaid, **new}
        names = [name for name in new if old.get(name) != new[name]]
    except (ValueError, TypeError):  # of another program, or damaged
        return "another record"
    return "; ".join(f"{name} {old.get(name, '?')}, now {new[name]}" for name in names) or "other options"
