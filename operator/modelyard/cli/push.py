"""The command `modelyard push`: a model file as an OCI artifact, for an `oci://` URL of a Model.

The artifact has the shape of those of `oras push`: one layer with the name of the file as its title
(https://oras.land/docs/how_to_guides/pushing_and_pulling). The configuration is the empty one of
https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidance-for-an-empty-descriptor.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from modelyard.coded_error import CodedError
from modelyard.oci import RegistryClient
from modelyard.oci.media_types import OCI_MANIFEST
from modelyard.oci.reference import Reference, parse_reference
from modelyard.oci.registry_config import Credential, RegistryAccess
from modelyard.oci.upload_body import Blob
from modelyard.sizes import human
from modelyard.streams.plain_file import PlainFile

ARTIFACT_TYPE: Final = "application/vnd.modelyard.model"
_FILE_TYPE: Final = "application/octet-stream"
_EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
_TITLE: Final = "org.opencontainers.image.title"
_STEP_BYTES: Final = 64 * 1024 * 1024  # between two lines of progress


def run(arguments: argparse.Namespace) -> int:
    """Push a file, and print its URL and digest.

    Return the exit code: 1 for an error of the registry, 2 for an invalid argument.
    """
    try:
        name = _tagged(arguments.name)
        content = PlainFile(_existing(arguments.file))
        access = _access(name, arguments)
        credential = _credential(arguments)
    except (OSError, ValueError, CodedError) as error:
        sys.stderr.write(f"modelyard push: {error}\n")
        return 2
    try:
        with RegistryClient(access, credential=credential, log=_tell) as registry:
            blob = _push(registry, name, arguments.file.name, content)
    except (OSError, CodedError) as error:
        sys.stderr.write(f"modelyard push: {error}\n")
        return 1
    sys.stdout.write(f"url: oci://{name}\ndigest: {blob.digest}\n")
    return 0


def _push(registry: RegistryClient, name: Reference, title: str, content: PlainFile) -> Blob:
    blob = registry.upload(name, content, progress=_progress(title, content.size))
    empty = registry.upload_bytes(name, b"{}")
    registry.put_manifest(name, manifest(blob, empty, title), OCI_MANIFEST, tag=name.tag)
    return blob


def manifest(blob: Blob, empty: Blob, title: str) -> bytes:
    """Return the manifest of an artifact with one file."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": ARTIFACT_TYPE,
            "config": {"mediaType": _EMPTY_TYPE, "digest": empty.digest, "size": empty.size},
            "layers": [
                {
                    "mediaType": _FILE_TYPE,
                    "digest": blob.digest,
                    "size": blob.size,
                    "annotations": {_TITLE: title},
                }
            ],
        },
        ensure_ascii=False,
    ).encode()


def _tagged(text: str) -> Reference:
    name = parse_reference(text.removeprefix("oci://"))
    if name.tag is None or name.digest is not None:
        raise ValueError(f"{text}: add a tag, one for each version of the model: {name.tagged('1')}")
    return name


def _existing(file: Path) -> Path:
    if file.is_dir():
        raise ValueError(f"{file} is a folder: push a zip or tar of it, and set `unpack: true` in the Model")
    if not file.exists():
        raise ValueError(f"the file {file} does not exist")
    return file


def _access(name: Reference, arguments: argparse.Namespace) -> RegistryAccess:
    folder = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
    config = folder / "config.json"
    return RegistryAccess(
        config=config if config.exists() and not arguments.username else None,
        insecure=frozenset({name.registry} if arguments.insecure else ()),
        ca_bundle=arguments.ca_file,
    )


def _credential(arguments: argparse.Namespace) -> Credential | None:
    if bool(arguments.username) != arguments.password_stdin:
        raise ValueError("--username and --password-stdin belong together")
    if not arguments.username:
        return None
    return Credential(arguments.username, sys.stdin.readline().rstrip("\r\n"))


def _progress(title: str, total: int) -> Callable[[int], None]:
    """Return a function that reports each further 64 MiB."""
    reported = 0

    def progress(sent: int) -> None:
        nonlocal reported
        if sent - reported >= _STEP_BYTES:
            reported = sent
            _tell(f"{title}: {human(sent)} of {human(total)} sent")

    return progress


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
