"""Chains of objects in a Git repository, and the commits that change them, for tests of GitOps tools."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tests.support.objects import MODEL_DRIVER, image, manifest, model, service

NO_SUCH_PACKAGE: Final = "modelyard-no-such-package==9.9"


@dataclass(frozen=True)
class Chain:
    """The desired content of one chain of four objects."""

    weights: str = "w1"
    driver: str = "d1"
    description: str = ""
    concurrency: int = 8
    packages: str = ""
    replicas: int = 1

    @property
    def response(self) -> str:
        """Return the response of the Service, which names the content of Model and Manifest."""
        return f"{self.driver}:{self.weights}"

    def files(self, name: str) -> dict[str, str]:
        """Return the files of the chain by path."""
        driver = MODEL_DRIVER.replace("file.read_text()", f"{self.driver!r} + ':' + file.read_text()")
        properties = {"pipRequirements": self.packages} if self.packages else {}
        built = [
            model(name, f"data:,{self.weights}", description=self.description),
            manifest(name, driver, name, **properties),
            image(name),
        ]
        served = service(
            name, name, numReplicas=self.replicas, maxConcurrentRequestsPerContainer=self.concurrency
        )
        return {
            f"images/{name}.yaml": "\n---\n".join(map(json.dumps, built)),
            f"services/{name}.yaml": json.dumps(served),
        }


Chains = Mapping[str, Chain]
Step = tuple[str, Callable[[dict[str, Chain]], None]]


def edit(name: str, **change: str | int) -> Callable[[dict[str, Chain]], None]:
    """Return a change of fields of one chain."""

    def apply(chains: dict[str, Chain]) -> None:
        chains[name] = replace(chains[name], **change)  # type: ignore[arg-type]

    return apply


def swap(old: str, new: str, chain: Chain) -> Callable[[dict[str, Chain]], None]:
    """Return a change that deletes one chain and creates another one."""

    def apply(chains: dict[str, Chain]) -> None:
        del chains[old]
        chains[new] = chain

    return apply


def edit_both(chains: dict[str, Chain]) -> None:
    """Change the weights of both chains."""
    for name in ("a", "b"):
        chains[name] = replace(chains[name], weights="both")


STEPS: Final[tuple[Step, ...]] = (
    ("new weights of a", edit("a", weights="w2")),
    ("new driver of a", edit("a", driver="d2")),
    ("new description of a, the same version", edit("a", description="text")),
    ("old content of a, whose image exists", edit("a", weights="w1", driver="d1")),
    ("new weights of a and b", edit_both),
    ("delete b and create c", swap("b", "c", Chain(weights="c"))),
    ("delete c and create b again with other content", swap("c", "b", Chain(weights="b2", driver="d3"))),
    ("two replicas of a", edit("a", replicas=2)),
    ("one replica and another limit of a", edit("a", replicas=1, concurrency=9)),
)
