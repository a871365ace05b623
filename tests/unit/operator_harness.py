"""The whole operator over the fake API server, with a kubelet, a builder and a clock."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import gzip
import hashlib
import itertools
import random
from collections.abc import Callable
from typing import Any, Final

from tests.unit.clock import Clock
from tests.unit.fake_api_server import (
    FakeApiServer,
    FakeDigestLookup,
    Killed,
)
from tests.unit.fake_kopf import FakeKopf

from modelyard.api import labels
from modelyard.api.names import API_VERSION, SOURCE
from modelyard.api.owners import owner_of
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.contract.build_pod import CONTAINER, REQUEST_FILE
from modelyard.contract.build_request import (
    BuildRequest,
    BuildResult,
)
from modelyard.controller.collector_client import CollectorError
from modelyard.controller.controller import Controller
from modelyard.kube.errors import NotFound
from modelyard.kube.types import DEPLOYMENTS, JOBS, PODS, REVISIONS, SECRETS, Json
from modelyard.reconcile.builds.build_line import BuildLine
from modelyard.reconcile.builds.lookups import BackgroundLookups
from modelyard.reconcile.cache import Cache
from modelyard.reconcile.collection_reports import CollectorState
from modelyard.reconcile.context import Context
from modelyard.reconcile.event_recorder import EventRecorder
from modelyard.reconcile.timestamps import format_timestamp
from modelyard.reconcile.workqueue import WorkQueue
from modelyard.settings import OperatorSettings

SYSTEM: Final = "modelyard-system"
_ROLL: Final = "deployment.kubernetes.io/revision"
_NO_RESYNC: Final = 1e9  # seconds: longer than any test moves its clock
_START_TURNS: Final = 1_000  # turns of the event loop after which a start waits for the clock
_ROUNDS: Final = 20_000  # turns of the event loop before a test that never settles fails


class OperatorHarness:
    """A cluster with an operator that tests can kill and start again."""

    def __init__(self, settings: OperatorSettings | None = None, schedule: random.Random | None = None):
        self.clock = Clock()
        self.cluster = FakeApiServer(self.clock, schedule, own_namespace=SYSTEM)
        self.registry = FakeDigestLookup()
        settings = settings or OperatorSettings()
        if "resync_seconds" not in settings.model_fields_set:
            settings = settings.model_copy(update={"resync_seconds": _NO_RESYNC})
        if "poll_seconds" not in settings.data_collection.model_fields_set:
            collection = settings.data_collection.model_copy(update={"poll_seconds": _NO_RESYNC})
            settings = settings.model_copy(update={"data_collection": collection})
        if "verify_seconds" not in settings.registry.model_fields_set:
            registry = settings.registry.model_copy(update={"verify_seconds": 0})
            settings = settings.model_copy(update={"registry": registry})
        self.settings = settings
        self.supervision_seconds = _NO_RESYNC
        self.sweep_seconds = _NO_RESYNC
        self.collectors: dict[str, CollectorState] = {}  # by IP address of the pod
        self.serves = True  # whether new pods become ready
        self.times_rolls = False  # whether Deployments have the number and the end of their rolls
        self.outcome: Callable[[BuildRequest], BuildResult] = succeed
        self.builds = 0

    # the operator

    async def start(self) -> None:
        """Start a new process with an empty cache and queue."""
        self.cluster.dead = False
        self.queue = WorkQueue(self.clock)
        self.cache = Cache()
        self.ctx = Context(
            settings=self.settings,
            client=self.cluster,
            cache=self.cache,
            queue=self.queue,
            recorder=EventRecorder(self.cluster, "test"),
            registry=self.registry,
            build_line=BuildLine(self.cache.build_jobs, self.settings.build, self.queue.add),
            lookups=BackgroundLookups(self.queue.add, self.clock),
            now=self.clock,
            sleep=self.clock.sleep,
        )
        self.controller = Controller(
            self.ctx,
            self.read_collector,
            supervision_seconds=self.supervision_seconds,
            sweep_seconds=self.sweep_seconds,
        )
        self.kopf = FakeKopf(self.cluster, self.controller, self.settings)
        starting = asyncio.create_task(self.controller.start())
        for turn in itertools.count(1):
            if starting.done() or self.cluster.dead:
                break
            await asyncio.sleep(0)
            due = self.clock.next_due()
            if turn % _START_TURNS == 0 and due:
                self.clock.move_to(due)  # the start waits before another attempt
        if self.cluster.dead:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            raise Killed
        await starting
        self.kopf.start()

    async def stop(self) -> None:
        await self.kopf.stop()
        await self.controller.stop()

    async def read_collector(self, address: str) -> CollectorState:
        """Return the state of a side-car. Raises CollectorError if no pod has this address."""
        if address not in self.collectors:
            raise CollectorError("connection refused")
        return self.collectors[address]

    async def settle(self) -> None:
        """Run until no work is left now. Raises Killed if the process ended."""
        quiet = 0
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
            if self.cluster.dead:
                raise Killed
            is_idle = self.queue.idle and self.cluster.all_delivered and not self.cluster.active_calls
            quiet = quiet + 1 if is_idle else 0
            if quiet > 10:
                return
        raise AssertionError(f"not settled after {self.cluster.calls[-20:]}")

    async def play(self, seconds: float = 300, *, alone: bool = False) -> None:
        """Settle and move the clock until nothing is due within `seconds`.

        Pods and builds proceed, unless `alone`.
        """
        end = self.clock() + dt.timedelta(seconds=seconds)
        while True:
            await self.settle()
            if not alone and self.step():
                continue
            due = self.clock.next_due()
            if due is None or due >= end:
                return
            self.clock.move_to(due)

    # the cluster's other controllers

    def step(self) -> bool:
        """End builds and start pods; return whether anything changed."""
        before = len(self.cluster.history)
        for job in self.cluster.all(JOBS):
            if "status" not in job:
                self._run(job)
        for metadata in [body["metadata"] for body in self.cluster.all(DEPLOYMENTS) if owner_of(body)]:
            name, namespace = metadata["name"], metadata["namespace"]
            ended = self._number_roll(name, namespace) if self.times_rolls else ""
            self.roll(name, namespace, ready=self.serves, ended=ended)
        return len(self.cluster.history) > before

    def _number_roll(self, name: str, namespace: str) -> str:
        """Number the roll of a Deployment, and return the time at which it has ended."""
        body = self.cluster.at(DEPLOYMENTS, name, namespace)
        before = body.get("status", {})
        if before.get("template") == body["spec"]["template"]:
            ended: str = before["conditions"][0]["lastUpdateTime"]
            return ended
        number = int(body["metadata"].get("annotations", {}).get(_ROLL, "0")) + 1
        self.cluster.change(DEPLOYMENTS, namespace, name, {"metadata": {"annotations": {_ROLL: str(number)}}})
        return format_timestamp(self.clock())

    def roll(self, name: str, namespace: str = "default", *, ready: bool = True, ended: str = "") -> None:
        """Roll a Deployment: its pods stay, new pods become ready if `ready`, at the time `ended`."""
        body = self.cluster.at(DEPLOYMENTS, name, namespace)
        wanted, before = body["spec"]["replicas"], body.get("status", {})
        template = body["spec"]["template"]
        seen = before.get("template", template if ready else None)
        updated = wanted if ready or seen == template else 0
        status = {
            "observedGeneration": body["metadata"]["generation"],
            "replicas": wanted,
            "updatedReplicas": updated,
            "readyReplicas": wanted if ready else min(wanted, before.get("readyReplicas", 0)),
            "availableReplicas": wanted if ready else min(wanted, before.get("availableReplicas", 0)),
            "conditions": [
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
                | ({"lastUpdateTime": ended} if ended else {})
            ],
            "template": template if ready else seen,
        }
        self.cluster.change(DEPLOYMENTS, namespace, name, {"status": status}, "status")

    def _run(self, job: Json) -> None:
        name = job["metadata"]["name"]
        try:
            request = self.request(name)
        except NotFound:
            return  # the pod waits for its Secret
        self.builds += 1
        result = self.outcome(request)
        if result.digest:
            self.registry.images[f"{request.repository}:{request.tag}"] = result.digest
        self.end(
            name, {"message": result.model_dump_json(by_alias=True), "exitCode": 0 if result.digest else 1}
        )

    def end(self, job: str, terminated: Json | None, reason: str = "PodFailurePolicy") -> None:
        """End a build Job, with a pod whose state is `terminated`, or without a pod."""
        if terminated is not None:
            self.end_pod(job, terminated)
        good = terminated is not None and terminated.get("exitCode") == 0
        condition = {"type": "Complete" if good else "Failed", "status": "True", "reason": reason}
        self.cluster.change(JOBS, SYSTEM, job, {"status": {"conditions": [condition]}}, "status")

    def start_pod(self, job: str, log: str) -> None:
        """Run the pod of a build Job, with a log."""
        self._put_pod(job, {"running": {}}, log)

    def end_pod(self, job: str, terminated: Json) -> None:
        """End the pod of a build Job before the Job reports the end."""
        self._put_pod(job, {"terminated": terminated}, f"log of {job}\n")

    def _put_pod(self, job: str, state: Json, log: str) -> None:
        pod = f"{job}-x"
        if any(body["metadata"]["name"] == pod for body in self.cluster.all(PODS)):
            self.cluster.remove(PODS, SYSTEM, pod)  # left by a deleted Job of the same name
        template = self.cluster.at(JOBS, job, SYSTEM)["spec"]["template"]["metadata"]
        metadata = {"name": pod, "labels": {**template["labels"], labels.JOB_NAME: job}}
        self.cluster.put(PODS, SYSTEM, {**PODS.header(), "metadata": metadata})
        self.cluster.logs[pod] = log
        status = {"containerStatuses": [{"name": CONTAINER, "state": state}]}
        self.cluster.change(PODS, SYSTEM, pod, {"status": status}, "status")

    def request(self, job: str) -> BuildRequest:
        """Return the request of a build Job."""
        packed = self.cluster.at(SECRETS, job, SYSTEM)["data"][REQUEST_FILE]
        return BuildRequest.model_validate_json(gzip.decompress(base64.b64decode(packed)))

    # the user

    def apply(self, *bodies: Json) -> None:
        for body in bodies:
            self.cluster.apply(body)

    def change(self, kind: str, on: str = "m", **spec: Any) -> None:
        """Change fields of a spec; None removes one."""
        self.cluster.change(CUSTOM_RESOURCES[kind], "default", on, {"spec": spec})

    def status(self, kind: str, name: str = "m") -> Json:
        status: Json = self.cluster.at(CUSTOM_RESOURCES[kind], name).get("status", {})
        return status

    def summary(self, kind: str, name: str = "m") -> tuple[str, str, str]:
        """Return id, state and the reason of Ready."""
        status = self.status(kind, name)
        return status.get("id", ""), status["state"], self.condition(kind, "Ready", name)["reason"]

    def condition(self, kind: str, type_: str, name: str = "m") -> Json:
        found: Json = next(c for c in self.status(kind, name)["conditions"] if c["type"] == type_)
        return found

    def revision_annotations(self, kind: str, version: int, name: str = "m") -> Json:
        """Return the annotations of a revision, without their prefix."""
        body = self.cluster.at(REVISIONS, labels.revision_name(kind, name, version))
        return {
            key.removeprefix("modelyard.dev/"): value
            for key, value in body["metadata"].get("annotations", {}).items()
        }

    def events(self, reason: str) -> int:
        """Return the number of events that were posted with a reason."""
        return sum(
            event.type == "ADDED" and event.body.get("reason") == reason for event in self.cluster.history
        )


def succeed(request: BuildRequest) -> BuildResult:
    """Return a digest that is a function of the tag, which is the hash of the inputs."""
    return BuildResult(digest="sha256:" + hashlib.sha256(request.tag.encode()).hexdigest())


def model(name: str = "m", **spec: Any) -> Json:
    return _object("Model", name, {"url": "https://h/1", "mimeType": "application/octet-stream"} | spec)


def manifest(name: str = "m", **spec: Any) -> Json:
    return _object(
        "Manifest",
        name,
        {
            "modelIds": ["m"],
            "driverProgram": "driver",
            "assets": [{"id": "driver", "content": "def run(body): return body"}],
            "targetRuntime": {"runtimeType": "Python", "properties": {"pythonVersion": "3.11"}},
        }
        | spec,
    )


def image(name: str = "m", **spec: Any) -> Json:
    return _object("Image", name, {"manifestId": "m", "imageType": "Docker"} | spec)


def service(name: str = "m", **spec: Any) -> Json:
    return _object("Service", name, {"imageId": "m"} | spec)


def source_secret(name: str = "store", **data: str) -> Json:
    """Return a Secret that downloads may use."""
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"metadata": {"name": name, "labels": {SOURCE: "true"}}, "type": "Opaque", "data": encoded}


def sample_objects() -> tuple[Json, Json, Json, Json]:
    return model(), manifest(), image(), service()


def _object(kind: str, name: str, spec: Json) -> Json:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
