"""Train a stage: `python -m ssrvae_tf.fit --stage style|sr ...`. Every field of a configuration is an option."""

from __future__ import annotations

import os

from ssrvae_tf.errors import exit_cleanly


def main() -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from ssrvae_tf import config

    settings = config.parse()
    from ssrvae_tf.training.run import fit

    fit(settings)
    print(f"the result is in {settings.out or f'runs/{settings.stage}'}")
    return 0


if __name__ == "__main__":
    exit_cleanly(main)
