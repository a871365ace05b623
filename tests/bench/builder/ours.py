"""The build Job's process in the operator's image, as its pod runs it: with no start of a pod to wait for."""

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
_TIMED: Final = Path(__file__).with_name("timed.py")


@dataclass(frozen=True)
class Built:
    """An image that the process pushed."""

    reference: str
    """repository:tag"""
    seconds: float
    """From the first line of the builder's own code to the end of the process."""
    start_seconds: float
    """Before that: Python, and the imports."""
    peak_mb: float
    """Most memory of the process and of any that it started."""


@dataclass(frozen=True)
class Ours:
    """Builds with the layers builder, attestations and all; only the registry knows of earlier builds."""

    folder: Path
    registry: BenchRegistry

    def build(self, requirements: str, model_url: str, *, image: str = "ours", driver: str = DRIVER) -> Built:
        """Build and push; SystemExit with the build's log when it fails."""
        tag = uuid.uuid4().hex
        repository = f"bench/models/{image}"  # as the operator names them: layers are shared below the first
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
        took = _run(folder)
        shutil.rmtree(folder)
        return Built(f"{repository}:{tag}", took["seconds"], took["start_seconds"], took["peak_bytes"] / 1e6)


def _run(folder: Path) -> dict[str, float]:
    shutil.copy(_TIMED, folder)
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
    command += ["--entrypoint=python", operator_image(), "/bench/timed.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise SystemExit(f"the build failed: {done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])
