"""What each layer is made from, as a hash: with the same one, the layer in the registry is taken."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from modelyard.build.environment.target import Target
from modelyard.build.inputs import LAYOUT
from modelyard.build.runtime import runtime_version

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
    asked = {part: registrations[part] for part in _MANIFEST_PARTS if part in registrations}
    return _key("environment", target.python, target.platform, requirements.strip(), asked)


def model_key(path: str, name: str | None, digest: str) -> str:
    """Of a model at a path of the image: a file of that name, or with None the files of an archive."""
    return _key("model", path, name, digest)


def _key(kind: str, *parts: object) -> str:
    text = json.dumps([LAYOUT, _VERSION, kind, *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
