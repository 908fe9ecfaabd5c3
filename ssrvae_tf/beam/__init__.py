"""The work of `ssrvae_tf.upscale` and `ssrvae_tf.degrade` as Apache Beam pipelines, for more photos than one machine
can do. All but `places` needs Apache Beam."""

from __future__ import annotations

from ssrvae_tf.errors import UserError


def check_installed() -> None:
    """Raises UserError if Apache Beam is not there."""
    try:
        import apache_beam  # noqa: F401
    except ImportError as error:
        raise UserError(f"Apache Beam is not installed ({error}): pip install 'ssrvae_tf[beam]'") from error
