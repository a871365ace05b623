"""The build Job: reads a request, builds, and leaves the result as its termination message.

Exit codes: 0, the image is in the registry; 1, a failure that the result explains; 70, a fault of the builder
itself; 143, stopped by SIGTERM.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from pydantic import ValidationError

from modelyard.builder.attestation.settings import AttestationSettings
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.pip_settings import PipSettings
from modelyard.builder.image_builder import ImageBuilder
from modelyard.builder.log import BuildLog
from modelyard.builder.result import (
    crashed,
    encoded,
    failed,
)
from modelyard.builder.sources import FetchContext
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.variables import optional_path, registry_access
from modelyard.coded_error import CodedError
from modelyard.contract.build_pod import (
    DOCKER_SOCKET,
    EXIT_CRASHED,
    EXIT_FAILED,
    TERMINATION_LOG,
    BuildVariable,
)
from modelyard.contract.build_progress import pushed_line
from modelyard.contract.build_request import (
    BuilderKind,
    BuildRequest,
    BuildResult,
)
from modelyard.contract.errors import (
    RequestInvalidError,
)
from modelyard.oci.registry_config import RegistryAccess

_NOT_SECRET: Final = frozenset({"username", "AWS_REGION", "AWS_ENDPOINT_URL", "AZURE_ENDPOINT"})
# A Google service account key, https://cloud.google.com/iam/docs/keys-create-delete; a Docker config.json.
_SECRET_IN_JSON: Final = frozenset(
    {"private_key", "private_key_id", "client_secret", "refresh_token"}
    | {"auth", "password", "identitytoken", "registrytoken"}
)
_PROXIES: Final = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"})
_STOPPED: Final = 128 + signal.SIGTERM


@dataclass(frozen=True)
class BuildJobSettings:
    """What the Job's environment says."""

    request: Path
    """Path of the BuildRequest."""
    workspace: Path
    """Folder with room for all files that are fetched and unpacked."""
    termination_log: Path
    """File for the BuildResult."""
    docker_host: str
    """Address of the Docker engine."""
    docker_network: str | None
    """Network mode of the build steps that a Docker engine runs."""
    proxies: Mapping[str, str]
    """HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either case, for the steps that an engine runs; what this
    process itself asks keeps to them anyway."""
    pip_conf: Path | None
    """A pip.conf for the installation of requirements."""
    access: RegistryAccess
    """Access to registries. Its CA bundle is for downloads and for the installation of packages, too."""
    policy: EgressPolicy = field(default_factory=EgressPolicy)
    """See EgressPolicy.from_environment."""
    attestation: AttestationSettings = field(default_factory=AttestationSettings)
    """See AttestationSettings.from_environment."""
    conda: CondaSettings = field(default_factory=CondaSettings)
    """See CondaSettings.from_environment."""
    claims: Path | None = None
    """See FetchContext."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> BuildJobSettings:
        """Raises KeyError for a variable that is missing."""
        return cls(
            request=Path(environment[BuildVariable.REQUEST]),
            workspace=Path(environment[BuildVariable.WORKSPACE]),
            termination_log=Path(environment.get(BuildVariable.TERMINATION_LOG) or TERMINATION_LOG),
            docker_host=environment.get(BuildVariable.DOCKER_HOST) or f"unix://{DOCKER_SOCKET}",
            docker_network=environment.get(BuildVariable.DOCKER_NETWORK) or None,
            proxies={name: value for name, value in environment.items() if name.upper() in _PROXIES},
            pip_conf=optional_path(environment, BuildVariable.PIP_CONF),
            access=registry_access(environment),
            policy=EgressPolicy.from_environment(environment),
            attestation=AttestationSettings.from_environment(environment),
            conda=CondaSettings.from_environment(environment),
            claims=optional_path(environment, BuildVariable.CLAIMS),
        )


def main() -> NoReturn:
    """Entry of the Job's process, which it ends at once: to take all its modules down takes 0.1 s."""
    code = run()
    sys.stdout.flush()
    os._exit(code)


def run() -> int:
    """The exit code."""
    signal.signal(signal.SIGTERM, _stop)
    settings = BuildJobSettings.from_environment(os.environ)
    log = BuildLog(sys.stdout)
    try:
        request = read_request(settings.request)
        log = BuildLog(sys.stdout, secrets_of(request))
        digest = build(request, settings, log)
        result, code = BuildResult(digest=digest), 0
        log.write(pushed_line(f"{request.repository}:{request.tag}", digest))
    except CodedError as error:
        result, code = failed(error, log), EXIT_FAILED
        log.write(f"{error.code}: {error}")
    except Exception as error:
        log.write(traceback.format_exc())
        result, code = crashed(error, log), EXIT_CRASHED
    settings.termination_log.write_bytes(encoded(result))
    return code


def build(request: BuildRequest, settings: BuildJobSettings, log: BuildLog) -> str:
    """The digest of the pushed image. Leaves the workspace as empty as it was, raises CodedError."""
    folder = settings.workspace / "build"
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed in the same pod
    folder.mkdir(parents=True)
    try:
        context = FetchContext(
            access=settings.access, log=log.write, policy=settings.policy, claims=settings.claims
        )
        return builder_of(request.builder, settings).publish(request, folder, context, log)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def builder_of(kind: BuilderKind, settings: BuildJobSettings) -> ImageBuilder:
    """The builder that a request asks for; the other one is not imported."""
    if kind is BuilderKind.LAYERS:
        from modelyard.builder.layers.layer_builder import LayerBuilder

        pip = PipSettings(settings.access.ca_bundle, settings.pip_conf, settings.policy)
        return LayerBuilder(
            access=settings.access,
            pip=pip,
            conda=settings.conda,
            attests=settings.attestation.attests,
            signer=settings.attestation.signer(),
        )
    from modelyard.builder.docker.docker_builder import DockerBuilder

    return DockerBuilder(
        host=settings.docker_host,
        network=settings.docker_network,
        proxies=settings.proxies,
        ca_bundle=settings.access.ca_bundle,
        pip_conf=settings.pip_conf,
        registry_config=settings.access.config,
        access=settings.access,
        attests=settings.attestation.attests,
        signer=settings.attestation.signer(),
        conda=settings.conda,
    )


def read_request(path: Path) -> BuildRequest:
    """Raises RequestInvalidError, whose message has nothing of the content: it holds credentials."""
    content = path.read_bytes()
    try:
        return BuildRequest.model_validate_json(gzip.decompress(content) if path.suffix == ".gz" else content)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        places = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in wrong)
        raise RequestInvalidError(f"the build's request cannot be read: {places}") from None


def secrets_of(request: BuildRequest) -> set[str]:
    """All that must never be logged."""
    sources = [*(model.source for model in request.models), *(asset.source for asset in request.assets)]
    return {
        line
        for source in sources
        for key, value in source.credentials.items()
        if key not in _NOT_SECRET
        for text in (value, *_texts_in(value))
        for line in text.splitlines()
    }


def _texts_in(value: str) -> list[str]:
    """The secret strings of a value that is JSON, which come up alone in a cloud's or a registry's error."""
    found: list[str] = []

    def take(parsed: dict[str, object]) -> None:
        found.extend(item for key, item in parsed.items() if key in _SECRET_IN_JSON and isinstance(item, str))

    with contextlib.suppress(ValueError):
        json.loads(value, object_hook=take)
    return found


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Ends the process through every `finally`; the engine ends its build with the connection."""
    sys.exit(_STOPPED)
