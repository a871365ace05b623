"""Flux's controllers as processes of a test, which reconcile one namespace of the cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.cluster import Kubectl
from tests.support.crds import created_crds
from tests.support.programs import program
from tests.support.servers import Server, free_port

PATIENT: Final = {"modelyard.dev/patient": "true"}
"""Label of Kustomizations whose health check goes on after the first failure (DisableFailFastBehavior)."""
_SELECTOR: Final = next(iter(PATIENT))
_REQUEUE: Final = "--requeue-dependency=1s"


@contextlib.contextmanager
def flux(namespace: str, folder: Path) -> Iterator[None]:
    """Run source-controller and kustomize-controller during the context, with the CRDs of Flux.

    A second kustomize-controller has the Kustomizations with the label PATIENT.

    As processes of this machine they need no image and no rights, and reach the repository of the test.
    Their logs are in `folder`.
    """
    source, kustomize = program("source-controller"), program("kustomize-controller")
    with created_crds(source.parent / "crds"):
        files = free_port()
        (folder / "artifacts").mkdir()
        storage = (
            f"--storage-path={folder / 'artifacts'}",
            f"--storage-addr=127.0.0.1:{files}",
            f"--storage-adv-addr=127.0.0.1:{files}",
        )
        with (
            _controller(source, namespace, folder, *storage),
            _controller(kustomize, namespace, folder, _REQUEUE, f"--watch-label-selector=!{_SELECTOR}"),
            _controller(
                kustomize,
                namespace,
                folder / "patient",
                _REQUEUE,
                f"--watch-label-selector={_SELECTOR}",
                "--feature-gates=DisableFailFastBehavior=true",
            ),
        ):
            try:
                yield
            finally:
                # While the controllers run, because they remove their finalizers.
                kinds = "kustomizations.kustomize.toolkit.fluxcd.io,gitrepositories.source.toolkit.fluxcd.io"
                Kubectl(namespace)("delete", kinds, "--all", "--timeout=90s", timeout=100)


def _controller(program: Path, namespace: str, folder: Path, *arguments: str) -> Server:
    folder.mkdir(exist_ok=True)
    health = free_port()
    settings = (
        "--metrics-addr=127.0.0.1:0",
        f"--health-addr=127.0.0.1:{health}",
        "--watch-all-namespaces=false",
    )
    return Server(
        [program, *settings, *arguments], health, folder, environment={"RUNTIME_NAMESPACE": namespace}
    )
