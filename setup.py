"""Puts all packages of the checkout below ``modelbooster`` in the wheel.

The folders of the checkout have plain names (``app``, ``controller``). In a wheel these would
clash with the packages of the project that it is installed in. There they are in
``modelbooster._bundled``, which ``modelbooster.cli.entry`` puts on the path. Everything else is in
pyproject.toml.
"""

import sys

from setuptools import find_packages, setup

BUNDLED = ("app", "certs", "controller", "downloader", "webhook")


def found(name: str) -> list[str]:
    """Returns a package of the checkout and those below it."""
    return find_packages(include=[name, f"{name}.*"])


if "editable_wheel" in sys.argv:  # pip install -e: imports find the folders of the checkout
    folders = {"": "."}
    packages = [package for name in ("modelbooster", *BUNDLED) for package in found(name)]
else:
    bundled = {package for name in BUNDLED for package in found(name)}
    folders = {f"modelbooster._bundled.{name}": name.replace(".", "/") for name in bundled}
    packages = [*found("modelbooster"), *sorted(folders)]

setup(packages=packages, package_dir=folders)
