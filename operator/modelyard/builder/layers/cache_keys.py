"""What each layer is made from, as a hash: with the same one, the layer in the registry is taken."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final

from modelyard.builder.environment.conda_file import CondaFile
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.target import Target
from modelyard.contract.image_layout import LAYOUT_VERSION
from modelyard.contract.scoring_runtime import runtime_version

_MANIFEST_PARTS: Final = ("image", "manifest")
_VERSION: Final = 1
"""Raised with each change of what the layers' builder makes of the same inputs."""


def runtime_key(target: Target) -> str:
    """Of the scoring runtime."""
    return _key("runtime", target.minor, target.platform, runtime_version())


def environment_key(requirements: str, target: Target, registrations: Mapping[str, str]) -> str:
    """Of installed packages: by the text of the requirements, not by what an index makes of it today.

    Who wants the newest of a package that is not pinned registers the manifest again.
    """
    return _key(
        "environment", target.python, target.platform, requirements.strip(), _of_manifest(registrations)
    )


def conda_key(
    file: CondaFile,
    requirements: str | None,
    python: str | None,
    platform: str,
    settings: CondaSettings,
    registrations: Mapping[str, str],
) -> str:
    """Of a conda environment, with what pip adds to it; `python` is the version asked for beside the file."""
    channels: Sequence[str] = file.channels or settings.channels
    # Variables are not of the layer, and whence mirrors take packages does not change them.
    made_for = [python, platform, dict(settings.virtual_packages)]
    asked = [file.dependencies, channels, (requirements or "").strip()]
    return _key("conda", *made_for, *asked, _of_manifest(registrations))


def model_key(owner: str, path: str, name: str | None, digest: str) -> str:
    """Of a model at a path of the image: a file of that name, or with None the files of an archive.

    `owner` is the path of its namespace in the registry: who knows a digest is not given the model of others.
    """
    return _key("model", owner, path, name, digest)


def _of_manifest(registrations: Mapping[str, str]) -> dict[str, str]:
    return {part: registrations[part] for part in _MANIFEST_PARTS if part in registrations}


def _key(kind: str, *parts: object) -> str:
    text = json.dumps([LAYOUT_VERSION, _VERSION, kind, *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
