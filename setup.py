"""What setup.cfg cannot say: configs/, which lies at the top for readers, is installed inside the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["ssrvae_tf*"]), "ssrvae_tf.configs"],
    package_dir={"ssrvae_tf.configs": "configs"},
)
