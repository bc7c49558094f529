#!/usr/bin/env python3
"""Makes a container image archive out of local files: no registry, no docker.

image.py NAME:TAG OUT.tar ENTRYPOINT SOURCE=DESTINATION...

ENTRYPOINT is a JSON list. A SOURCE that ends in .tar is a root file system (as mmdebstrap makes
one) and is unpacked at DESTINATION; any other SOURCE is a file or folder to copy. The image has
one layer.
"""

import hashlib
import io
import json
import os
import sys
import tarfile


def main(name: str, out: str, entrypoint: str, *sources: str) -> None:
    """Writes an image that runs one program as root."""
    environment = ["PATH=/usr/local/bin:/usr/bin:/bin"]
    write(name, out, {"Entrypoint": json.loads(entrypoint), "Env": environment}, *sources)


def write(name: str, out: str, settings: dict[str, object], *sources: str) -> None:
    """Writes an image.

    Args:
        name: name and tag.
        out: the archive to write.
        settings: what to run and how, as in the ``config`` of an OCI image.
        sources: ``SOURCE=DESTINATION``, see above.
    """
    layer = out + ".layer"
    with tarfile.open(layer, "w") as archive:
        for source in sources:
            path, destination = source.split("=", 1)
            destination = destination.strip("/")
            if path.endswith(".tar"):
                with tarfile.open(path) as root:
                    for member in root:
                        content = root.extractfile(member) if member.isreg() else None
                        member.name = os.path.normpath(os.path.join(destination, member.name))
                        if not member.isdev():
                            archive.addfile(member, content)
            else:
                archive.add(path, destination)
    with open(layer, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(out, "w") as archive:
        for path, value in (("config.json", config), ("manifest.json", manifest)):
            data = json.dumps(value).encode()
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        archive.add(layer, "layer.tar")
    os.remove(layer)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
