"""The build Job: reads a request, builds, and writes the result as its termination message.

Exit codes:

- 0: the image is in the registry.
- 1: the build failed, and the result has the error.
- 70: the builder has a defect.
- 143: SIGTERM stopped the build.
"""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import sys
import traceback
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from pydantic import ValidationError

from modelyard.builder.environment.package_container import PackageContainer
from modelyard.builder.environment.pip_settings import PipSettings
from modelyard.builder.image_builder import ImageBuilder
from modelyard.builder.job_settings import BuildJobSettings
from modelyard.builder.log import BuildLog
from modelyard.builder.request_secrets import registry_secrets, secrets_of
from modelyard.builder.result import crash_result, encode_result, failure_result
from modelyard.builder.sources.context import FetchContext
from modelyard.coded_error import CodedError
from modelyard.contract.build_pod import EXIT_CRASHED, EXIT_FAILED
from modelyard.contract.build_progress import pushed_line
from modelyard.contract.build_request import BuilderKind, BuildRequest, BuildResult
from modelyard.contract.errors import RequestInvalidError
from modelyard.object_stores.credentials import forget_cloud_identity

_EXIT_STOPPED: Final = 128 + signal.SIGTERM


def main() -> NoReturn:
    """Run the build and exit without the interpreter's shutdown, which takes 0.1 s for all the modules."""
    code = run()
    sys.stdout.flush()
    os._exit(code)


def run() -> int:
    """Build the image, write the result, and return the exit code."""
    signal.signal(signal.SIGTERM, _stop)
    settings = BuildJobSettings.from_environment(os.environ)
    log = BuildLog(sys.stdout)
    forget_cloud_identity()  # before threads of libraries run, which read the environment
    try:
        request = read_request(settings.request)
        log = BuildLog(sys.stdout, secrets_of(request) | registry_secrets(settings.access.config))
        digest = build(request, settings, log)
        result, code = BuildResult(digest=digest), 0
        log.write(pushed_line(f"{request.repository}:{request.tag}", digest))
    except CodedError as error:
        result, code = failure_result(error, log), EXIT_FAILED
        log.write(f"{error.code}: {error}")
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # a panic in a library written in Rust is no Exception
        log.write(traceback.format_exc())
        result, code = crash_result(error, log), EXIT_CRASHED
    settings.termination_log.write_bytes(encode_result(result))
    return code


def build(request: BuildRequest, settings: BuildJobSettings, log: BuildLog) -> str:
    """Return the digest of the pushed image. Leaves no files in the workspace. Raises CodedError."""
    folder = settings.workspace / "build"
    shutil.rmtree(folder, ignore_errors=True)  # files of an attempt that was killed in the same pod
    folder.mkdir(parents=True)
    try:
        context = FetchContext(
            access=settings.access,
            log=log.write,
            policy=settings.policy,
            login=settings.login,
            claims=settings.claims,
        )
        settings = replace(settings, conda=settings.conda.with_cuda(request.cuda_version))
        # The other container connects as soon as there is a socket, so that no build waits for it.
        socket = settings.packages_socket
        with PackageContainer(socket) if socket else nullcontext() as container:
            return builder_of(request.builder, settings, container).publish(request, folder, context, log)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def builder_of(
    kind: BuilderKind, settings: BuildJobSettings, container: PackageContainer | None = None
) -> ImageBuilder:
    """Return the builder of a kind. Imports only this builder, since imports delay each build.

    `container` is the container that installs users' packages, if the pod has one.
    """
    from modelyard.builder.environment.guarded_installer import GuardedInstaller, install_here

    pip = PipSettings(settings.access.ca_bundle, settings.pip_conf, settings.policy)
    install = GuardedInstaller(pip, settings.conda, container or install_here)
    if kind is BuilderKind.LAYERS:
        from modelyard.builder.layers.layer_builder import LayerBuilder

        return LayerBuilder(
            access=settings.access,
            conda=settings.conda,
            install=install,
            packages=settings.packages if container else None,
            attests=settings.attestation.attests,
            signer=settings.attestation.signer(),
            max_age_seconds=settings.environment_max_age_seconds,
        )
    from modelyard.builder.docker.docker_builder import DockerBuilder

    return DockerBuilder(
        host=settings.docker_host,
        network=settings.docker_network,
        shares_credentials=settings.docker_credentials,
        proxies=settings.proxies,
        ca_bundle=settings.access.ca_bundle,
        pip_conf=settings.pip_conf,
        registry_config=settings.access.config,
        access=settings.access,
        attests=settings.attestation.attests,
        signer=settings.attestation.signer(),
        install=install,
    )


def read_request(path: Path) -> BuildRequest:
    """Return the request in a file.

    Raises RequestInvalidError. The message names fields without their values, which may be credentials.
    """
    content = path.read_bytes()
    try:
        return BuildRequest.model_validate_json(gzip.decompress(content) if path.suffix == ".gz" else content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        fields = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in found)
        raise RequestInvalidError(
            f"the build request cannot be read: {fields}; use the same release for operator and builds"
        ) from None


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Exit through every `finally` block. A Docker engine stops its build when the connection closes."""
    sys.exit(_EXIT_STOPPED)
