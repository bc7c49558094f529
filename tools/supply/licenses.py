"""Prints the licence of each package of an SBOM, and fails on one that we do not allow.

Run it with the environment of ``requirements.txt`` beside it; ``make licenses`` does. Exit code 1:
a licence is unknown or not allowed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from license_expression import ExpressionError, get_spdx_licensing

ALLOWED = (
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "MIT",
    "MIT-0",
    "MPL-2.0",  # copyleft by file, and we change no file of such a package
    "PSF-2.0",
    "Python-2.0",
)
"""SPDX licences of packages that the image may contain."""

READ = {
    ("aiosignal", "License :: OSI Approved :: Apache Software License"): "Apache-2.0",
    ("certifi", "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)"): "MPL-2.0",
    ("google-re2", "License :: OSI Approved :: BSD License"): "BSD-3-Clause",
    ("uvloop", "License :: OSI Approved :: Apache Software License"): "Apache-2.0",
}
"""The licence in a package's licence file, by name and metadata, where that is no SPDX licence.

If a release declares something else, its entry no longer applies, and somebody has to read again.
"""

_SPDX = get_spdx_licensing()


def licences(component: Mapping[str, Any]) -> list[str]:
    """Returns the licences of a CycloneDX component: SPDX expressions, or free text."""
    found = []
    for each in component.get("licenses", ()):
        if "expression" in each:
            found.append(each["expression"])
        else:
            text = each["license"].get("id") or each["license"].get("name", "")
            found.append(READ.get((component["name"], text), text))
    return list(dict.fromkeys(found))


def problem(component: Mapping[str, Any]) -> str | None:
    """Returns why the licence of a component is not allowed, or None.

    All declared licences must be allowed, because metadata does not say whether they are a choice.
    In an SPDX expression, one side of ``OR`` is enough.
    """
    names = licences(component)
    if not names:
        return "declares no licence"
    for text in names:
        try:
            expression = _SPDX.parse(text, validate=True, strict=True)
        except ExpressionError:
            return f'declares "{text}", which is not an SPDX licence'
        truth = {
            symbol: _SPDX.TRUE if symbol.render() in ALLOWED else _SPDX.FALSE
            for symbol in expression.symbols
        }
        if expression.subs(truth).simplify() != _SPDX.TRUE:
            return f"has the licence {text}, which is not allowed"
    return None


def main(sbom: str) -> int:
    """Checks the components of the SBOM in this file."""
    components = json.loads(Path(sbom).read_text())["components"]
    failed = False
    for component in components:
        print(component["name"], component["version"], " AND ".join(licences(component)), sep="\t")
        if reason := problem(component):
            failed = True
            print(f"{component['name']} {component['version']} {reason}", file=sys.stderr)
    if failed:
        print(
            "Read the licence file of the package. Then extend ALLOWED or READ in"
            " tools/supply/licenses.py, or remove the package.",
            file=sys.stderr,
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
