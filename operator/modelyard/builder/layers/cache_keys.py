"""Keys of the layer cache: hashes of all inputs of a layer."""

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

_MANIFEST_REGISTRATIONS: Final = ("image", "manifest")
_VERSION: Final = 1
"""Increment this when the Layers builder makes other layers of the same inputs."""


def runtime_key(target: Target) -> str:
    """Return the key of the layer with the scoring runtime."""
    return _key("runtime", target.minor, target.platform, runtime_version())


def environment_key(requirements: str, target: Target, registrations: Mapping[str, str]) -> str:
    """Return the key of the layer with the packages of pip requirements.

    It depends on the text of the requirements, not on the versions that an index offers today. A new
    registration of the Manifest changes the key, and so installs the newest versions of packages without a
    pinned version.
    """
    return _key(
        "environment",
        target.python,
        target.platform,
        requirements.strip(),
        _manifest_registrations(registrations),
    )


def conda_key(
    file: CondaFile,
    requirements: str | None,
    python: str | None,
    platform: str,
    settings: CondaSettings,
    registrations: Mapping[str, str],
) -> str:
    """Return the key of the layer with a conda environment and the pip requirements installed into it.

    `python` is the version in the Manifest. The variables of the file are not in the layer, and the mirrors
    in the settings do not change the packages: the key contains neither.
    """
    channels: Sequence[str] = file.channels or settings.channels
    return _key(
        "conda",
        python,
        platform,
        dict(settings.virtual_packages),
        file.dependencies,
        channels,
        (requirements or "").strip(),
        _manifest_registrations(registrations),
    )


def model_key(owner: str, path: str, name: str | None, digest: str) -> str:
    """Return the key of the layer with a model at a path of the image.

    `name` is the name of the model's file, None for the files of an archive. `owner` is the registry path of
    the namespace. It keeps a user of another namespace from getting a model by its digest only.
    """
    return _key("model", owner, path, name, digest)


def _manifest_registrations(registrations: Mapping[str, str]) -> dict[str, str]:
    return {part: registrations[part] for part in _MANIFEST_REGISTRATIONS if part in registrations}


def _key(kind: str, *inputs: object) -> str:
    text = json.dumps([LAYOUT_VERSION, _VERSION, kind, *inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
