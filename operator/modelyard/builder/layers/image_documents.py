"""The manifest and the configuration of an image. Pure: equal layers and settings give equal bytes.

https://github.com/opencontainers/image-spec/blob/main/config.md and manifest.md; what they say means the same
as the last stage of `modelyard.build.dockerfile`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from modelyard.builder.layers.base_image import Base
from modelyard.builder.layers.layer import Layer
from modelyard.builder.layers.tar_stream import TIME
from modelyard.contract.image_layout import APP_ROOT, ENVIRONMENT, PORT, RUNTIME, USER
from modelyard.oci import Descriptor
from modelyard.oci.media_types import OCI_MANIFEST

CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"

_CREATED: Final = datetime.fromtimestamp(TIME, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # as all files in it
_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OF_THE_PLATFORM: Final = ("architecture", "os", "variant", "os.version", "os.features")
_INHERITED: Final = ("Env", "Labels", "ExposedPorts", "Volumes", "Healthcheck", "Shell")
"""What a Dockerfile takes over from its base, less what is set below."""


@dataclass(frozen=True)
class Document:
    """A manifest or a configuration as it is pushed."""

    media_type: str
    body: bytes

    @classmethod
    def of(cls, media_type: str, content: Mapping[str, Any]) -> Document:
        return cls(media_type, json.dumps(content, sort_keys=True, separators=(",", ":")).encode())

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.body).hexdigest()}"

    @property
    def descriptor(self) -> Descriptor:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.body)}


def image_config(
    base: Base, layers: Sequence[Layer], variables: Mapping[str, str], labels: Mapping[str, str]
) -> Document:
    """How a container of the base and the layers on it is run; `variables` are those of the driver."""
    inherited = base.config.get("config") or {}
    settings = {name: inherited[name] for name in _INHERITED if inherited.get(name)} | {
        "User": str(USER),
        "WorkingDir": APP_ROOT,
        "ExposedPorts": (inherited.get("ExposedPorts") or {}) | {f"{PORT}/tcp": {}},
        "StopSignal": "SIGTERM",
        # -S and -P: neither the driver's packages nor a json.py beside the driver reach the server's process.
        "Cmd": ["python3", "-S", "-P", "-m", "modelyard.scoring"],
        "Env": _environment(inherited.get("Env") or [], variables),
        "Labels": {**(inherited.get("Labels") or {}), **labels},
    }
    diff_ids = [*base.config["rootfs"]["diff_ids"], *(layer.diff_id for layer in layers)]
    return Document.of(
        CONFIG_TYPE,
        {name: base.config[name] for name in _OF_THE_PLATFORM if name in base.config}
        | {
            "created": _CREATED,
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [
                *_history(base),
                *({"created": _CREATED, "created_by": layer.holds} for layer in layers),
                {"created": _CREATED, "created_by": "how it is run", "empty_layer": True},
            ],
        },
    )


def image_manifest(base: Base, layers: Sequence[Layer], config: Document) -> Document:
    """The image, whose base is named as the specification has it."""
    return Document.of(
        OCI_MANIFEST,
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config.descriptor,
            "layers": [*base.layers, *(layer.descriptor for layer in layers)],
            "annotations": {
                "org.opencontainers.image.base.name": str(replace(base.reference, digest=None)),
                "org.opencontainers.image.base.digest": base.reference.version,
            },
        },
    )


def _environment(inherited: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """The base's variables with ours: packages are found as those of a user who has installed them."""
    known = dict(variable.partition("=")[::2] for variable in inherited)
    known.pop("PYTHONNOUSERSITE", None)
    python_path = known.get("PYTHONPATH")
    known |= {
        "PATH": f"{ENVIRONMENT}/bin:{known.get('PATH', _DEFAULT_PATH)}",
        "PYTHONPATH": f"{RUNTIME}:{python_path}" if python_path else RUNTIME,
        "PYTHONUSERBASE": ENVIRONMENT,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "HOME": "/tmp",  # noqa: S108 - of the container
        **variables,
    }
    return [f"{name}={value}" for name, value in known.items()]


def _history(base: Base) -> list[dict[str, Any]]:
    """That of the base, which must have as many entries as it has layers where there is one at all."""
    history: list[dict[str, Any]] = base.config.get("history") or []
    if sum(not entry.get("empty_layer") for entry in history) == len(base.layers):
        return history
    return [{"created": _CREATED, "created_by": "base image"} for _ in base.layers]
