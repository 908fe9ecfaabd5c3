"""Two public-domain photos for demos, tests and first steps without data of one's own. See CREDITS."""

from __future__ import annotations

from pathlib import Path


def sample_photos() -> list[Path]:
    """Paths of the shipped photos, sorted: astronaut.png (512x512), grace_hopper.jpg (512x600)."""
    folder = Path(__file__).parent
    return [folder / "astronaut.png", folder / "grace_hopper.jpg"]


HEADS = ((142, 8, 314, 180), (132, 60, 388, 316))
"""Where the heads of their main persons are, in that order: left, upper, right, lower."""
