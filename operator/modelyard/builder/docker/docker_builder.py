"""Builds with a Docker engine, and lets the engine push."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, cast

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException

from modelyard.backoff import Backoff
from modelyard.builder.assemble import assemble
from modelyard.builder.attestation.attach import (
    UNATTESTED_SUFFIX,
    attach,
)
from modelyard.builder.attestation.build_facts import (
    BuildFacts,
    build_facts,
)
from modelyard.builder.attestation.bundle import Signer
from modelyard.builder.docker.dockerfile import dockerfile
from modelyard.builder.docker.engine_errors import (
    build_error,
    push_error,
)
from modelyard.builder.docker.installed_packages import installed
from modelyard.builder.environment.conda_channels import CondaSettings
from modelyard.builder.layers.tar_stream import (
    Content,
    tar_of,
)
from modelyard.builder.layout import ImageContent
from modelyard.builder.log import BuildLog
from modelyard.builder.sources import FetchContext
from modelyard.contract.build_progress import ProgressMeter
from modelyard.contract.build_request import (
    BuilderKind,
    BuildRequest,
    Step,
)
from modelyard.contract.errors import (
    BuildStepFailedError,
    EngineUnavailableError,
)
from modelyard.contract.scoring_runtime import (
    PACKAGE,
    RUNTIME_REQUIREMENTS,
    runtime_files,
)
from modelyard.oci import RegistryClient
from modelyard.oci.errors import RegistryError
from modelyard.oci.reference import parse_reference
from modelyard.oci.registry_config import RegistryAccess
from modelyard.retry import Retry

_SILENCE_SECONDS: Final = 1800
"""How long the engine may say nothing: compiling a package, or copying a large model, is silent."""

_CHATTER: Final = re.compile(r"^(?: ---> [0-9a-f]{12}|Removing intermediate container .*)$", re.MULTILINE)
_TO_COME: Final = frozenset({"Preparing", "Waiting"})

Message = dict[str, Any]


@dataclass(frozen=True)
class DockerBuilder:
    """Talks to the engine's API (https://docs.docker.com/reference/api/engine/); needs no BuildKit.

    A broken connection ends the engine's build too: when the Job is cancelled, nothing goes on.
    Images stay on the engine, where their layers are the cache of the next build.
    """

    host: str
    """Address of the engine: unix:///path or tcp://host:port."""
    network: str | None = None
    """Network mode of the steps that run, such as "host"; the engine's default otherwise."""
    ca_bundle: Path | None = None
    """PEM file that pip trusts in place of its own."""
    pip_conf: Path | None = None
    registry_config: Path | None = None
    """A dockerconfigjson with `auth` entries, for pulling the base image and for pushing."""
    proxies: Mapping[str, str] = field(default_factory=dict)
    """HTTP_PROXY and its like, for the steps that run; as predefined arguments they leave no trace in images:
    https://docs.docker.com/reference/dockerfile/#predefined-args."""
    access: RegistryAccess = field(default_factory=RegistryAccess)
    """How this process reaches the registry that the engine pushes to, for what is attached to images."""
    attests: bool = True
    """Whether bill of materials and provenance are attached to images."""
    signer: Signer | None = None
    conda: CondaSettings = field(default_factory=CondaSettings)
    retry: Retry = field(default_factory=lambda: Retry(attempts=5, backoff=Backoff(1.0, 30.0)))

    def publish(self, request: BuildRequest, workspace: Path, context: FetchContext, log: BuildLog) -> str:
        """See ImageBuilder."""
        content = assemble(request, workspace, context, log)
        log.enter(Step.BUILD)
        with _engine_errors(self.host), self._client() as client:
            self._build(client, request, content, log)
            log.enter(Step.PUSH)
            pushed, built = request, f"{request.repository}:{request.tag}"
            if self.attests:
                pushed = request.model_copy(update={"tag": request.tag + UNATTESTED_SUFFIX})
                client.tag(built, request.repository, pushed.tag)
            digest = self.retry.run(lambda: _push(client, pushed, log), on_retry=log.write)
            if self.attests:
                client.remove_image(f"{request.repository}:{pushed.tag}", noprune=True)  # the tag, no more
                facts = build_facts(
                    request,
                    builder=BuilderKind.DOCKER,
                    base_digest=_digest_of(client, request.base_image),
                    digests=content.digests,
                    packages=tuple(installed(client, built, workspace / "installed")),
                )
                self._attest(request, pushed.tag, digest, facts)
            return digest

    def _attest(self, request: BuildRequest, pushed: str, digest: str, facts: BuildFacts) -> None:
        """Attach what is said of an image, and only then give it the tag by which it is found."""
        repository = parse_reference(request.repository)
        with RegistryClient(self.access) as registry:
            body = registry.manifest_bytes(repository.at(digest))
            kind = json.loads(body)["mediaType"]
            image = {"mediaType": kind, "digest": digest, "size": len(body)}
            attach(registry, repository, image, facts, self.signer)
            registry.put_manifest(repository, body, kind, tag=request.tag)
            with suppress(RegistryError):
                registry.delete_tag(repository, pushed)

    @contextmanager
    def _client(self) -> Iterator[docker.APIClient]:
        client = docker.APIClient(base_url=self.host, version="auto", timeout=_SILENCE_SECONDS)
        try:
            if self.registry_config:
                client.reload_config(str(self.registry_config))
            yield client
        finally:
            client.close()

    def _build(
        self, client: docker.APIClient, request: BuildRequest, content: ImageContent, log: BuildLog
    ) -> None:
        environment = content.app.with_name("environment")
        python = self._conda_environment(client, request, content, environment, log)
        context = self._context(request, content, python)
        if python:
            context["environment"] = environment
        messages = client.build(
            fileobj=cast("IO[bytes]", tar_of(context).open()),  # any iterable is sent
            custom_context=True,
            tag=f"{request.repository}:{request.tag}",
            labels=dict(request.labels),
            buildargs=dict(self.proxies),
            network_mode=self.network,
            rm=True,
            forcerm=True,
            decode=True,
        )
        _follow(messages, log)

    def _conda_environment(
        self,
        client: docker.APIClient,
        request: BuildRequest,
        content: ImageContent,
        folder: Path,
        log: BuildLog,
    ) -> str | None:
        """The version of the Python of the environment that is now in the folder; None without conda."""
        if content.conda is None:
            return None
        # rattler is large, and few builds need it.
        from modelyard.builder.environment.conda import CondaTarget, install_conda  # noqa: PLC0415

        engine = client.version()
        target = CondaTarget(f"{engine['Os']}/{engine['Arch']}", request.python_version)
        return install_conda(content.conda, target, folder, self.conda, log)

    def _context(
        self, request: BuildRequest, content: ImageContent, conda_python: str | None
    ) -> dict[str, Content]:
        ca_bundle, pip_conf = self.ca_bundle, self.pip_conf
        text = dockerfile(
            request.base_image,
            content,
            ca_bundle=ca_bundle is not None,
            pip_conf=pip_conf is not None,
            conda_python=conda_python,
        )
        optional = {
            "settings/ca.pem": ca_bundle and ca_bundle.read_bytes(),
            "settings/pip.conf": pip_conf and pip_conf.read_bytes(),
            "requirements.txt": content.requirements and content.requirements.encode(),
        }
        return {
            "Dockerfile": text.encode(),
            "runtime-requirements.txt": RUNTIME_REQUIREMENTS,
            "app": content.app,
            **{name: value for name, value in optional.items() if value},
            **{f"runtime/modelyard/{path.as_posix()}": PACKAGE / path for path in runtime_files()},
            **{f"models/{index}": model.files for index, model in enumerate(content.models)},
        }


def _digest_of(client: docker.APIClient, image: str) -> str:
    """Of an image that the engine has; of its configuration when it is in no registry."""
    if digest := parse_reference(image).digest:
        return digest
    known: Message = client.inspect_image(image)  # type: ignore[no-untyped-call]
    return str(next(iter(known.get("RepoDigests") or [known["Id"]]))).rpartition("@")[2]


def _follow(messages: Iterator[Message], log: BuildLog) -> None:
    """Log a build's messages; raises what the last of them says."""
    built = False
    instruction = ""
    output: list[str] = []
    for message in messages:
        text = _CHATTER.sub("", str(message.get("stream", "")))
        if text.startswith("Step "):
            instruction = text.partition(" : ")[2].strip()
            output = []
        log.write(text)
        output += log.clean(text)
        if "error" in message:
            raise build_error(instruction, output, log.redact(str(message["error"])))
        built = built or "ID" in message.get("aux", {})
    if not built:
        raise EngineUnavailableError("the Docker engine ended the build without a result")


def _push(client: docker.APIClient, request: BuildRequest, log: BuildLog) -> str:
    target = f"{request.repository}:{request.tag}"
    seen = set()
    digest = None
    layers = _Layers(ProgressMeter(log.write, "layers"))
    try:
        for message in client.push(request.repository, tag=request.tag, stream=True, decode=True):
            if "error" in message:
                raise push_error(target, log.redact(str(message["error"])))
            digest = message.get("aux", {}).get("Digest", digest)
            layers.hear(message)
            line = f"{message.get('id', '')} {message.get('status', '')}".strip()
            if line not in seen and message.get("status") not in _TO_COME:  # they come many times a second
                seen.add(line)
                log.write(line)
    except APIError as error:
        raise push_error(target, log.redact(error.explanation or str(error))) from None
    if digest is None:
        raise BuildStepFailedError(f"the engine gave no digest for {target}")
    return str(digest)


class _Layers:
    """Bytes of all layers that are pushed, as far as the engine has told of them."""

    def __init__(self, meter: ProgressMeter) -> None:
        self._meter = meter
        self._sent: dict[str, int] = {}
        self._sizes: dict[str, int] = {}

    def hear(self, message: Message) -> None:
        """A message of the engine's: it tells of a layer many times a second."""
        detail, layer = message.get("progressDetail") or {}, message.get("id", "")
        if not detail.get("total"):
            return
        self._sizes[layer] = detail["total"]
        self._sent[layer] = min(detail.get("current", 0), detail["total"])  # it also counts tar's padding
        self._meter.total = sum(self._sizes.values())
        self._meter.update(sum(self._sent.values()))


@contextmanager
def _engine_errors(host: str) -> Iterator[None]:
    try:
        yield
    except APIError as error:
        raise BuildStepFailedError(f"the Docker engine refused the build: {error.explanation}") from None
    except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise EngineUnavailableError(f"the Docker engine at {host} does not answer: {error}") from None
