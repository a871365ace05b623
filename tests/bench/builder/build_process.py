"""The process of a build Job in the operator's image, without the start of a pod."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.builder.registry import BenchRegistry
from tests.support.cluster import operator_image

from modelyard.contract.build_request import (
    AssetInput,
    BuildRequest,
    ModelInput,
    Source,
)

DRIVER: Final = "def init():\n    pass\n\n\ndef run(body):\n    return body\n"
_SECONDS: Final = 900
_TIMED_BUILD: Final = Path(__file__).with_name("timed_build.py")


@dataclass(frozen=True)
class FinishedBuild:
    """A build that pushed its image."""

    reference: str
    """`repository:tag` of the image."""
    seconds: float
    """Seconds from the first line of the builder's code to the end of the process."""
    start_seconds: float
    """Seconds before that: the start of Python, and the imports."""
    peak_mb: float
    """Peak memory of the process and of its child processes."""


@dataclass(frozen=True)
class BuildProcess:
    """Builds with the Layers builder and attestations. Each build starts with an empty workspace."""

    folder: Path
    registry: BenchRegistry

    def build(
        self, requirements: str, model_url: str, *, image: str = "first", driver: str = DRIVER
    ) -> FinishedBuild:
        """Build and push an image. Raises SystemExit with the log of the build if it fails."""
        tag = uuid.uuid4().hex
        repository = f"bench/models/{image}"  # <prefix>/<namespace>/<image>: the cache is below the prefix
        request = BuildRequest(
            repository=f"{self.registry.host}/{repository}",
            tag=tag,
            base_image=self.registry.base_image,
            driver="driver",
            models=(ModelInput(name="model", version=1, source=Source(url=model_url)),),
            assets=(AssetInput(id="driver", source=Source(content=driver)),),
            pip_requirements=requirements,
        )
        folder = self.folder / tag
        folder.mkdir(parents=True)
        (folder / "request.json").write_text(request.model_dump_json(by_alias=True), encoding="utf-8")
        usage = _run(folder)
        shutil.rmtree(folder)
        return FinishedBuild(
            f"{repository}:{tag}", usage["seconds"], usage["start_seconds"], usage["peak_bytes"] / 1e6
        )


def _run(folder: Path) -> dict[str, float]:
    shutil.copy(_TIMED_BUILD, folder)
    shutil.copy(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"), folder / "ca.crt")
    variables = {
        "MODELYARD_BUILD_REQUEST": "/bench/request.json",
        "MODELYARD_BUILD_WORKSPACE": "/bench/workspace",
        "MODELYARD_TERMINATION_LOG": "/bench/termination-log",
        "MODELYARD_CA_BUNDLE": "/bench/ca.crt",
    }
    command = [
        "docker",
        "run",
        "--rm",
        "--network=host",
        f"--user={os.getuid()}",
        f"--volume={folder}:/bench",
    ]
    command += [f"--env={name}={value}" for name, value in variables.items()]
    command += ["--entrypoint=python", operator_image(), "/bench/timed_build.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise SystemExit(f"the build failed: {done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])
