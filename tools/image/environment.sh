#!/usr/bin/env bash
# Makes the Python environment of an image. The Dockerfile, `make sbom` and `make e2e` all use it,
# so that they install the same.
#
#   environment.sh IMAGE PYTHON TARGET [STEP]
#
#   IMAGE   operator or downloader
#   PYTHON  the Python of the image's base, or one of the same version. TARGET/bin/python is a link
#           to it, so its path must be the same in the image.
#   TARGET  the folder to make: its path in the image. The scripts in TARGET/bin name it.
#   STEP    packages: make TARGET anew, with what is used of the pinned packages
#           code: add our own code to that, compile everything, strip the symbols of libraries
#           Without it, both.
#
# PYTHON needs the module venv, and "code" the program strip (on Debian: the packages python3-venv
# and binutils). The sources are those of the checkout that this file is in; nothing is written there.
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

if [[ $step != packages ]] && ! command -v strip >/dev/null; then
  echo "environment.sh: there is no program strip on PATH (on Debian: apt-get install binutils)" >&2
  exit 1
fi

export PIP_DISABLE_PIP_VERSION_CHECK=1
# What compiles decides on the kind of bytecode: neither pip nor an import.
export PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The tools that install are beside the environment, so none of them gets into the image.
"$base" -m venv "$work/tools"
python=$target/bin/python

site_packages() {
  "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
}

# Removes what no process uses. Licences and metadata stay.
slim() {
  local site library
  site=$(site_packages)
  # What compilers and type checkers read.
  find "$site" -type f \( -name '*.pyx' -o -name '*.px[di]' -o -name '*.pyi' -o -name '*.[ch]' \) -delete
  [[ $image = operator ]] || return 0
  # Of kubernetes_asyncio the operator uses the reader of kubeconfigs. The generated client of all
  # kinds is nine tenths of the library, and importing it takes longer than the rest of a command.
  library=$site/kubernetes_asyncio
  rm -r "$library"/{client/api,client/models,dynamic,leaderelection,stream,utils,watch}
  touch "$library/client/models.py"
  sed -i '/^from kubernetes_asyncio\.client\.\(api\|models\)[. ]/d' "$library/client/__init__.py"
  sed -i '/^import kubernetes_asyncio\.\(dynamic\|stream\|utils\|watch\) /d' "$library/__init__.py"
  sed -i 's/^__all__ = .*/__all__ = ["client", "config"]/' "$library/__init__.py"
  # Fails here, not in a cluster, if another release of the library needs more of itself.
  "$python" -c 'from kubernetes_asyncio import *; from kubernetes_asyncio.client import ApiClient, Configuration
from kubernetes_asyncio.config import kube_config'
}

pip() { # COMMAND ARGUMENT...: runs pip on the environment
  "$work/tools/bin/python" -m pip --python "$python" "$@"
}

if [[ $step != code ]]; then
  rm -rf "$target"
  "$base" -m venv --without-pip "$target"
  pip install --quiet --no-compile --require-hashes --no-deps -r "$lock"
  slim
fi

if [[ $step != packages ]]; then
  # The downloader has no code of the operator, and needs none of its packages.
  if [[ $image = downloader ]]; then
    cp -r "$sources/downloader" "$(site_packages)"
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
    # That of pip imports more, which the parent of the webhook's process would keep.
    printf '#!%s\nfrom modelbooster.cli.entry import run\nrun()\n' "$python" >"$target/bin/model-booster"
  fi
  find "$target" -name __pycache__ -prune -exec rm -rf {} +
  # Some wheels carry symbols for debuggers: of uvloop they are nine tenths. Each library is loaded
  # after that, so that a damaged one fails here.
  find "$target/lib" -name '*.so*' -type f -exec strip --strip-unneeded {} + \
    -exec "$python" -c 'import ctypes, sys; [ctypes.CDLL(path) for path in sys.argv[1:]]' {} +
  # All bytecode is in one file, that of the standard library too, which images of Python lack.
  site=$(site_packages)
  "$python" "$sources/tools/image/make_bytecode_archive.py" "$site/modules.bytecode"
  cp "$sources/tools/image/bytecode_archive.py" "$site"
  echo "import bytecode_archive" >"$site/bytecode_archive.pth"
  # Unchecked: the files of an image do not change, and their times may.
  "$python" -m compileall -q --invalidation-mode unchecked-hash "$site/bytecode_archive.py"
fi
pip check >"$work/check" || { cat "$work/check" >&2; exit 1; }
