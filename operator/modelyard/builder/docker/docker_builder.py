"""The builder that sends a Dockerfile to a Docker engine, which builds and pushes the image."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException

from modelyard.backoff import Backoff
from modelyard.builder.assemble import assemble
from modelyard.builder.attestation.attach import attach
from modelyard.builder.attestation.build_record import BuildRecord, build_record
from modelyard.builder.attestation.bundle import Signer
from modelyard.builder.docker.chunk_reader import open_chunks
from modelyard.builder.docker.dockerfile import dockerfile
from modelyard.builder.docker.engine_errors import build_error, push_error
from modelyard.builder.docker.installed_packages import read_installed_packages
from modelyard.builder.environment.guarded_installer import GuardedInstaller
from modelyard.builder.environment.index_credentials import without_logins
from modelyard.builder.environment.package_job import PackageInstaller, PackageJob, PackageKind
from modelyard.builder.layers.disk_folder import DiskFolder
from modelyard.builder.layers.tar_stream import (
    EntryContent,
    tar_of,
)
from modelyard.builder.layout import ImageContent
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.context import FetchContext
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
from modelyard.contract.registry_names import UNATTESTED_SUFFIX
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

_PACKAGES: Final = "packages"
_READ_TIMEOUT_SECONDS: Final = 1800
"""Longest pause between two messages: the engine is silent while it compiles or copies large files."""

_LAYER_ID_LINES: Final = re.compile(
    r"^(?: ---> [0-9a-f]{12}|Removing intermediate container .*)$", re.MULTILINE
)
_QUEUED: Final = frozenset({"Preparing", "Waiting"})
"""Push states of a layer that the engine repeats many times a second."""

Message = dict[str, Any]
"""One JSON object of the stream with which the engine answers a build or a push."""


@dataclass(frozen=True)
class DockerBuilder:
    """A client of the Docker engine API (https://docs.docker.com/reference/api/engine/) without BuildKit.

    The engine stops a build whose connection breaks, so a cancelled Job leaves no build running there.
    Images stay on the engine, where their layers are the cache of the next build.
    """

    host: str
    """Address of the engine: unix:///path or tcp://host:port."""
    network: str | None = None
    """Network mode of RUN instructions, such as "host"; None for the engine's default."""
    ca_bundle: Path | None = None
    """PEM file of the CA certificates that pip trusts instead of its own."""
    shares_credentials: bool = False
    """True to give the build steps the logins of pip.conf and proxies. Code of source distributions can read
    them."""
    pip_conf: Path | None = None
    """The pip.conf for pip in the image."""
    registry_config: Path | None = None
    """A dockerconfigjson with `auth` entries, for pulling the base image and for pushing."""
    proxies: Mapping[str, str] = field(default_factory=dict)
    """HTTP_PROXY, HTTPS_PROXY and NO_PROXY for RUN instructions. They are predefined build arguments, which
    images do not record: https://docs.docker.com/reference/dockerfile/#predefined-args."""
    access: RegistryAccess = field(default_factory=RegistryAccess)
    """The access of this process to the engine's registry, for the documents attached to images."""
    attests: bool = True
    """True to attach a bill of materials and provenance to each image."""
    signer: Signer | None = None
    """Signs images and their documents; None for no signatures."""
    install: PackageInstaller = field(default_factory=GuardedInstaller)
    """Installs a conda environment."""
    retry: Retry = field(default_factory=lambda: Retry(attempts=5, backoff=Backoff(1.0, 30.0)))

    def publish(self, request: BuildRequest, workspace: Path, context: FetchContext, log: BuildLog) -> str:
        """Build and push the image of a request, as described by ImageBuilder.publish."""
        content = assemble(request, workspace, context, log)
        log.enter(Step.BUILD)
        with _engine_errors(self.host), self._client() as client:
            self._build(client, request, content, log)
            log.enter(Step.PUSH)
            if not self.attests:
                return self._push(client, request.repository, request.tag, log)
            image, temporary_tag = f"{request.repository}:{request.tag}", request.tag + UNATTESTED_SUFFIX
            client.tag(image, request.repository, temporary_tag)
            digest = self._push(client, request.repository, temporary_tag, log)
            # Removes the tag only: the engine keeps the image under its other tag.
            client.remove_image(f"{request.repository}:{temporary_tag}", noprune=True)
            record = build_record(
                request,
                builder=BuilderKind.DOCKER,
                base_digest=_digest_of(client, request.base_image),
                digests=content.digests,
                packages=tuple(read_installed_packages(client, image, workspace / "installed")),
            )
            self._attest(request, temporary_tag, digest, record)
            return digest

    def _push(self, client: docker.APIClient, repository: str, tag: str, log: BuildLog) -> str:
        return self.retry.run(lambda: _push_once(client, repository, tag, log), on_retry=log.write)

    def _attest(self, request: BuildRequest, temporary_tag: str, digest: str, record: BuildRecord) -> None:
        """Attach the documents about an image, then give the image the tag under which it is found."""
        repository = parse_reference(request.repository)
        with RegistryClient(self.access) as registry:
            manifest = registry.manifest_bytes(repository.at(digest))
            media_type = json.loads(manifest)["mediaType"]
            image = {"mediaType": media_type, "digest": digest, "size": len(manifest)}
            attach(registry, repository, image, record, self.signer)
            registry.put_manifest(repository, manifest, media_type, tag=request.tag)
            with suppress(RegistryError):  # garbage collection counts it as a tag of builds
                registry.delete_tag(repository, temporary_tag)

    @contextmanager
    def _client(self) -> Iterator[docker.APIClient]:
        client = docker.APIClient(base_url=self.host, version="auto", timeout=_READ_TIMEOUT_SECONDS)
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
            context["environment"] = DiskFolder(environment, _PACKAGES)
        messages = client.build(
            fileobj=open_chunks(tar_of(context).open()),
            custom_context=True,
            tag=f"{request.repository}:{request.tag}",
            labels=dict(request.labels),
            buildargs={name: self._shared(value) for name, value in self.proxies.items()},
            network_mode=self.network,
            rm=True,
            forcerm=True,
            decode=True,
        )
        _log_build(messages, log)

    def _conda_environment(
        self,
        client: docker.APIClient,
        request: BuildRequest,
        content: ImageContent,
        folder: Path,
        log: BuildLog,
    ) -> str | None:
        """Make the conda environment in `folder` and return its Python's version, None without conda."""
        if content.conda is None:
            return None
        engine = client.version()
        job = PackageJob(
            kind=PackageKind.CONDA,
            folder=folder / _PACKAGES,
            platform=f"{engine['Os']}/{engine['Arch']}",
            python=request.python_version,
            conda=content.conda,
            compiles=False,  # the Dockerfile does, after it has installed the pip requirements
        )
        return self.install(job, log).python

    def _shared(self, text: str) -> str:
        """Return a setting as build steps may read it."""
        return text if self.shares_credentials else without_logins(text)

    def _context(
        self, request: BuildRequest, content: ImageContent, conda_python: str | None
    ) -> dict[str, EntryContent]:
        """Return the files of the build context by their paths."""
        text = dockerfile(
            request.base_image,
            content,
            ca_bundle=self.ca_bundle is not None,
            pip_conf=self.pip_conf is not None,
            conda_python=conda_python,
        )
        context: dict[str, EntryContent] = {
            "Dockerfile": text.encode(),
            "runtime-requirements.txt": RUNTIME_REQUIREMENTS,
            "app": content.app,
        }
        if self.ca_bundle:
            context["settings/ca.pem"] = self.ca_bundle.read_bytes()
        if self.pip_conf:
            context["settings/pip.conf"] = self._shared(self.pip_conf.read_text()).encode()
        if content.requirements:
            context["requirements.txt"] = content.requirements.encode()
        for path in runtime_files():
            context[f"runtime/modelyard/{path.as_posix()}"] = PACKAGE / path
        for index, model in enumerate(content.models):
            context[f"models/{index}"] = model.files
        return context


def _digest_of(client: docker.APIClient, image: str) -> str:
    """Return the manifest digest of an image on the engine, or its config digest if no registry has it."""
    if digest := parse_reference(image).digest:
        return digest
    details: Message = client.inspect_image(image)  # type: ignore[no-untyped-call]
    names: list[str] = details.get("RepoDigests") or [details["Id"]]
    return names[0].rpartition("@")[2]


def _log_build(messages: Iterator[Message], log: BuildLog) -> None:
    """Write a build's messages to the log. Raises CodedError for the error that a message reports."""
    built = False
    instruction = ""
    output: list[str] = []
    for message in messages:
        text = _LAYER_ID_LINES.sub("", str(message.get("stream", "")))
        if text.startswith("Step "):
            instruction = text.partition(" : ")[2].strip()
            output = []
        log.write(text)
        output += log.clean(text)
        if "error" in message:
            raise build_error(instruction, output, log.redact(str(message["error"])))
        built = built or "ID" in message.get("aux", {})
    if not built:
        raise EngineUnavailableError("the Docker engine closed the build's connection without a result")


def _push_once(client: docker.APIClient, repository: str, tag: str, log: BuildLog) -> str:
    """Push an image and return its digest."""
    target = f"{repository}:{tag}"
    logged = set()
    digest = None
    progress = _PushProgress(ProgressMeter(log.write, "layers"))
    try:
        for message in client.push(repository, tag=tag, stream=True, decode=True):
            if "error" in message:
                raise push_error(target, log.redact(str(message["error"])))
            digest = message.get("aux", {}).get("Digest", digest)
            progress.update(message)
            line = f"{message.get('id', '')} {message.get('status', '')}".strip()
            if line not in logged and message.get("status") not in _QUEUED:
                logged.add(line)
                log.write(line)
    except APIError as error:
        raise push_error(target, log.redact(error.explanation or str(error))) from None
    if digest is None:
        raise BuildStepFailedError(f"the Docker engine returned no digest for {target}: build again")
    return str(digest)


class _PushProgress:
    """Bytes pushed of all layers that the engine has reported so far."""

    def __init__(self, meter: ProgressMeter) -> None:
        self._meter = meter
        self._sent: dict[str, int] = {}
        self._sizes: dict[str, int] = {}

    def update(self, message: Message) -> None:
        """Count the bytes of the one layer that a message reports."""
        layer = message.get("id", "")
        detail = message.get("progressDetail") or {}
        if not detail.get("total"):
            return
        self._sizes[layer] = detail["total"]
        # The engine's `current` includes the padding of the tar, so it may exceed the total.
        self._sent[layer] = min(detail.get("current", 0), detail["total"])
        self._meter.total = sum(self._sizes.values())
        self._meter.update(sum(self._sent.values()))


@contextmanager
def _engine_errors(host: str) -> Iterator[None]:
    """Turn errors of docker-py into BuildStepFailedError or EngineUnavailableError."""
    try:
        yield
    except APIError as error:
        raise BuildStepFailedError(f"the Docker engine refused the build: {error.explanation}") from None
    except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise EngineUnavailableError(f"the Docker engine at {host} does not answer: {error}") from None
