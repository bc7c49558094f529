"""A virtual environment that holds one engine release, installed from PyPI.

Everything that the argument parser imports is the release's own. Only packages that the parser
never reaches are left out; they are large and need a GPU to be of use.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LEFT_OUT = re.compile(
    r"(xformers|flashinfer|flash-attn|ray|numba|opencv|torchaudio|torchcodec|fastsafetensors"
    r"|nvidia-cutlass|quack|nvidia-cudnn-frontend|nixl|mooncake|sgl-|sglang-kernel|cuda-python"
    r"|tilelang|deep-gemm|flash-linear|humming|tokenspeed|st-attn|cache-dit|diffusers|kernels\b"
    r"|imageio|moviepy|modelscope|decord|soundfile|gradio|datasets|timm|mcp|anthropic)",
    re.IGNORECASE,
)
"""Names of requirements that are not installed."""

LIMITS = {f"vllm-{release}": ("transformers<4.54",) for release in ("0.8.5", "0.9.2")}
"""What a release needs and does not say: later ones know a model that it registers itself."""

UV = "uv==0.13.8"
"""Installs packages; pip would take three times as long."""


class Failed(Exception):
    """The table cannot be made; the message says why."""


def make(python: str, engine: str, release: str, folder: Path) -> Path:
    """Makes a virtual environment with one engine release.

    Args:
        python: the interpreter, one that the release supports.
        engine: name of the package: ``vllm`` or ``sglang``.
        release: its version on PyPI.
        folder: where the environment and the downloads go; used again if it is there already.

    Returns:
        The interpreter of the environment.

    Raises:
        Failed: a package cannot be installed.
    """
    programs = folder / "env" / "bin"
    inside = programs / "python"
    if not inside.exists():
        _run(python, "-m", "venv", str(folder / "env"))
    pip = [str(inside), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _run(*pip, UV)
    # Links packages out of its cache, so that releases with packages in common share them.
    install = [str(programs / "uv"), "pip", "install", "--quiet", "--python", str(inside)]
    install += ["--cache-dir", str(folder.parent / "cache"), "--link-mode", "hardlink"]
    _run(*install, "--no-deps", f"{engine}=={release}")
    wanted = [text for text in _requirements(inside, engine) if not LEFT_OUT.match(text)]
    if engine == "sglang":
        # Its extras hold what the server imports; up to 0.5.3 they hold nearly everything.
        wanted += ["transformers"]
    _run(*install, *wanted, *LIMITS.get(f"{engine}-{release}", ()))
    return inside


def _requirements(python: Path, package: str) -> Iterator[str]:
    """Yields the requirements of an installed package that hold on this machine."""
    code = (
        "import sys, importlib.metadata as m\n"
        "from pip._vendor.packaging.requirements import Requirement\n"
        "for text in m.requires(sys.argv[1]) or []:\n"
        "    one = Requirement(text)\n"
        "    extras = ('', 'srt', 'runtime_common', 'all') if sys.argv[1] == 'sglang' else ('',)\n"
        "    if not one.marker or any(one.marker.evaluate({'extra': e}) for e in extras):\n"
        "        one.marker = None\n"
        "        print(one)\n"
    )
    yield from _run(str(python), "-c", code, package).splitlines()


def _run(*command: str) -> str:
    """Runs a program, shows its complaints, and returns what it prints."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        raise Failed(f"{' '.join(command[:4])} ... ended with {done.returncode}")
    return done.stdout
