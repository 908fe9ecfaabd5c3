"""Train a stage: `python -m ssrvae_tf.fit --stage style|sr ...`. Every field of a configuration is an option."""

from __future__ import annotations

import warnings

from ssrvae_tf.errors import exit_cleanly
from ssrvae_tf.terminal import saying


def main() -> int:
    from ssrvae_tf import config

    settings = config.with_place(config.parse())
    warnings.filterwarnings("ignore", "(?s).*TensorFlow Addons")
    with saying("starting TensorFlow"):
        from ssrvae_tf.training.run import fit

    fit(settings)
    print(f"the result is in {settings.out}: ssrvae_tf.load({settings.out!r})")
    return 0


if __name__ == "__main__":
    exit_cleanly(main)
