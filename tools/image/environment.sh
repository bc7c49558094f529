#!/usr/bin/env bash
# Makes the Python environment of an image. The Dockerfile, `make sbom` and `make e2e` all use it,
# so that they install the same.
#
#   environment.sh IMAGE PYTHON TARGET [STEP]
#
#   IMAGE   operator or downloader
#   PYTHON  the Python of the image's base, or one of the same minor version. TARGET/bin/python is
#           a link to it, so its path must be the same in the image.
#   TARGET  the folder to make: its path in the image. The scripts in TARGET/bin name it.
#   STEP    packages: make TARGET anew, with the pinned packages only
#           code: add our own code to that, and compile everything
#           Without it, both.
#
# PYTHON needs the module venv (on Debian: the package python3-venv). The sources are those of the
# checkout that this file is in; nothing is written there.
set -euo pipefail
usage() { sed -n '5,16s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
(($# == 3 || $# == 4)) || usage
image=$1 base=$2 target=$3 step=${4:-both}
sources=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
case $image in
  operator) lock=$sources/requirements.txt ;;
  downloader) lock=$sources/requirements-downloader.txt ;;
  *) usage ;;
esac
[[ $step = both || $step = packages || $step = code ]] || usage
[[ $target = /* ]] || { echo "environment.sh: TARGET must be an absolute path, not $target" >&2; exit 2; }

export PIP_DISABLE_PIP_VERSION_CHECK=1
# What compiles decides on the kind of bytecode: neither pip nor an import.
export PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The tools that install are beside the environment, so none of them gets into the image.
"$base" -m venv "$work/tools"
python=$target/bin/python

pip() { # COMMAND ARGUMENT...: runs pip on the environment
  "$work/tools/bin/python" -m pip --python "$python" "$@"
}

if [[ $step != code ]]; then
  rm -rf "$target"
  "$base" -m venv --without-pip "$target"
  pip install --quiet --no-compile --require-hashes --no-deps -r "$lock"
fi

if [[ $step != packages ]]; then
  # The downloader has no code of the operator, and needs none of its packages.
  if [[ $image = downloader ]]; then
    cp -r "$sources/downloader" "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    printf '#!%s\nfrom downloader.main import main\nmain()\n' "$python" >"$target/bin/model-booster-downloader"
    chmod 755 "$target/bin/model-booster-downloader"
  else
    # setuptools comes in the version, and with the hash, that the tests use.
    sed -n '/^setuptools==/,/[^\\]$/p' "$sources/requirements-dev.txt" >"$work/tool.txt"
    "$work/tools/bin/python" -m pip install --quiet --require-hashes --no-deps -r "$work/tool.txt"
    # A copy, because setuptools leaves what it builds beside the sources, and uses it again.
    mkdir "$work/src"
    for name in pyproject.toml setup.py README.md LICENSE app certs controller modelbooster webhook; do
      cp -r "$sources/$name" "$work/src"
    done
    "$work/tools/bin/python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work" "$work/src"
    pip install --quiet --no-compile --no-deps "$work"/model_booster-*.whl
    rm "$target/bin/model-booster-downloader"
  fi
  find "$target" -name __pycache__ -prune -exec rm -rf {} +
  "$python" -m compileall -q "$target/lib"
fi
pip check >"$work/check" || { cat "$work/check" >&2; exit 1; }
