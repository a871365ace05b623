"""One chain of four objects with a random history, and the response that its objects ask for."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Final

from tests.support.cluster import Json, Kubectl
from tests.support.objects import MODEL_DRIVER, image, manifest, model, service
from tests.support.status import condition

KINDS: Final = ("mdl", "mft", "img", "msvc")
Persist = Callable[[Callable[[], object]], None]


class Chain:
    """Changes one chain at random. `log` has the changes since the last check."""

    def __init__(self, name: str, kubectl: Kubectl, schedule: random.Random, persist: Persist) -> None:
        self.name = name
        self.log: list[str] = []
        self._kubectl = kubectl
        self._random = schedule
        self._persist = persist
        self._contents = 0
        self._weights = [self._new("w")]
        self._driver = [self._new("d")]
        self._missing = set(KINDS)
        self._pinned: str | None = None
        self._served: dict[
            str, str
        ] = {}  # ID of a version of the present Image → response that a check has seen

    def change(self) -> None:
        """Apply one random change."""
        changes = (
            self._edit,
            self._revert,
            self._delete,
            self._replace,
            self._create,
            self._pin,
            self._unpin,
        )
        self._random.choice((*changes, self._edit))()

    def complete(self) -> None:
        """Create the missing objects in random order."""
        for kind in self._random.sample(sorted(self._missing), len(self._missing)):
            self._apply(kind, "create")

    @property
    def expected(self) -> str:
        """Return the response that the Service owes to the present objects."""
        if self._pinned:
            return self._served[self._pinned]
        return f"{self._driver[-1]}:{self._weights[-1]}"

    def problem(self) -> str:
        """Return which object is not Ready with its present spec, empty if all are."""
        for kind in KINDS:
            found = self._kubectl.get_or_none(kind, self.name)
            status = (found or {}).get("status", {})
            current = found and status.get("observedGeneration") == found["metadata"]["generation"]
            ready = condition(status, "Ready")
            if not current or ready.get("status") != "True":
                return f"{kind} {self.name}: {json.dumps(ready)}"
        return ""

    def service(self) -> Json:
        """Return the Service."""
        return self._kubectl.get("msvc", self.name)

    def checked(self) -> None:
        """Record that the Service has responded as expected. Only such a version is pinned later."""
        self._persist(lambda: self._served.update({self.service()["status"]["imageId"]: self.expected}))
        self.log.clear()

    def delete(self) -> None:
        """Delete all objects."""
        self._persist(lambda: self._kubectl("delete", ",".join(KINDS), self.name, "--ignore-not-found"))

    def _new(self, prefix: str) -> str:
        self._contents += 1
        return f"{self.name}-{prefix}{self._contents}"

    def _edit(self) -> None:
        if self._random.random() < 0.5:
            self._weights.append(self._new("w"))
            self._apply_existing("mdl", "edit")
        else:
            self._driver.append(self._new("d"))
            self._apply_existing("mft", "edit")

    def _revert(self) -> None:
        contents, kind = self._random.choice(((self._weights, "mdl"), (self._driver, "mft")))
        contents.append(self._random.choice(contents))
        self._apply_existing(kind, "revert")

    def _delete(self) -> None:
        present = sorted(set(KINDS) - self._missing)
        if not present:
            return
        kind = self._random.choice(present)
        self.log.append(f"delete {kind}")
        self._persist(lambda: self._kubectl("delete", kind, self.name, "--ignore-not-found"))
        self._missing.add(kind)
        if kind == "img":  # its versions are deleted with it
            self._served.clear()
            self._unpin()

    def _replace(self) -> None:
        """Delete an object, and create it again at once with other content."""
        self._delete()
        self._edit()
        self._create()

    def _create(self) -> None:
        if self._missing:
            self._apply(self._random.choice(sorted(self._missing)), "create")

    def _pin(self) -> None:
        if self._served:
            self._pinned = self._random.choice(sorted(self._served))
            self._apply_existing("msvc", f"pin to {self._pinned}")

    def _unpin(self) -> None:
        if self._pinned:
            self._pinned = None
            self._apply_existing("msvc", "unpin")

    def _apply_existing(self, kind: str, verb: str) -> None:
        """Apply an object, unless it is deleted: its next creation has the new content."""
        if kind not in self._missing:
            self._apply(kind, verb)

    def _apply(self, kind: str, verb: str) -> None:
        self.log.append(f"{verb} {kind}, {self._driver[-1]}:{self._weights[-1]}")
        self._persist(lambda: self._kubectl.apply(self._body(kind)))
        self._missing.discard(kind)

    def _body(self, kind: str) -> Json:
        driver = MODEL_DRIVER.replace("file.read_text()", f"{self._driver[-1]!r} + ':' + file.read_text()")
        match kind:
            case "mdl":
                return model(self.name, f"data:,{self._weights[-1]}")
            case "mft":
                return manifest(self.name, driver, self.name)
            case "img":
                return image(self.name)
        return service(self.name, self._pinned or self.name)
