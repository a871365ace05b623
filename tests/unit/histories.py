"""Random histories: a user, a cluster and faults around the operator, and a check of the content served.

A build produces an image whose digest stands for the content that the build really got. So a test can compare
the content that the pods of a Service run with the content that the objects ask for.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import random
from collections.abc import Callable
from typing import Any, Final

from tests.unit.fake_api_server import Call, Killed
from tests.unit.operator_harness import OperatorHarness, image, manifest, model, service

from modelyard.api.kinds import KINDS_BY_NAME
from modelyard.api.names import parse_version_reference
from modelyard.api.owners import owner_of
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.revision import Revision
from modelyard.contract.build_request import BuildError, BuildRequest, BuildResult, Step
from modelyard.kube.errors import Unavailable
from modelyard.kube.types import DEPLOYMENTS, REVISIONS, Json
from modelyard.reconcile.references import hash_of_referenced
from modelyard.settings import OperatorSettings, RegistrySettings

Content = tuple[tuple[tuple[str, str], ...], str]  # (name and URL of each Model), driver

NAMES: Final = {"Model": ("m", "n"), "Manifest": ("m", "o"), "Image": ("m", "i"), "Service": ("m",)}
_MAY_GET_LOST: Final = {"list", "watch", "log"}  # the harness has no retries of the real client
_LONG: Final = 400.0  # seconds: longer than the backoff of the work queue and two resyncs of a failed list


class History:
    """One random history of a cluster with an operator."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        settings = OperatorSettings(
            workers=self.random.randint(1, 4),
            registry=RegistrySettings(keep_versions=self.random.choice([0, 1, 2])),
        )
        self.harness = OperatorHarness(settings, self.random)
        self.harness.outcome = self._build
        self.harness.times_rolls = True
        self.cluster = self.harness.cluster
        self.cluster.fault = self._before_call
        self.cluster.lost = self._after_call
        self.steps: list[str] = []
        self.problem: str | None = None  # the first time at which ready objects were wrong
        self._contents: dict[str, Content] = {}  # by digest of the image
        self._served_before: Content | None = None
        self._stopping: list[tuple[dt.datetime, Content]] = []  # end and content of pods that are replaced
        self._kill: tuple[str, int] | None = None  # before or after a call, calls until then
        self._fail: tuple[str, int] | None = None
        self._seen = 0  # events of the history whose ControllerRevisions are in _recorded
        self._data: dict[str, Json] = {}  # by content hash of the version
        self._recorded: dict[str, Any] = {}  # hash of a version → URL of a Model, content of a Manifest

    async def run(self, steps: int = 14) -> None:
        """Run the history to its end, and check it. Raises AssertionError with the steps."""
        await self._start()
        for kind in self.random.sample(list(NAMES), 4):
            self._create(kind, "m")
        actions = self._actions()
        for _ in range(steps):
            action = self.random.choices(list(actions), list(actions.values()))[0]
            action()
            if self.random.random() < 0.6:  # otherwise the events of two actions may coalesce
                await self._turn(self.random.choice([5, 30, 200]))
            if self.random.random() < 0.15:
                await self._rest()
            if self.random.random() < 0.08:
                await self._be_away()
        self._kill = self._fail = None
        if self.random.random() < 0.7:
            self._complete()
        self._resume_garbage_collection()
        await self._rest()
        self._check_end()
        await self.harness.stop()
        assert not self.problem, self._report(self.problem)

    def _actions(self) -> dict[Callable[[], None], float]:
        return {
            self._edit: 6,
            self._delete: 2,
            self._recreate: 3,
            self._create_missing: 4,
            self._step_cluster: 3,
            self._plan_kill: 1.5,
            self._plan_failure: 1.5,
            self._disconnect: 1,
            self._pause_garbage_collection: 0.5,
            self._resume_garbage_collection: 1,
        }

    # the user

    def _spec(self, kind: str) -> Json:
        choose = self.random.choice
        if kind == "Model":
            return {"url": f"https://h/{choose('ABC')}"}
        if kind == "Manifest":
            names = self.random.sample(NAMES["Model"], self.random.choice([1, 1, 2]))
            assets = [{"id": "driver", "content": f"def run(body): return {choose('123')}"}]
            return {"modelIds": [self._reference(name) for name in names], "assets": assets}
        if kind == "Image":
            return {"manifestId": self._reference(choose(NAMES["Manifest"]))}
        return {"imageId": self._reference(choose(NAMES["Image"]))}

    def _reference(self, name: str) -> str:
        """Return a reference that follows the newest version, or a pinned one."""
        return name if self.random.random() < 0.8 else f"{name}:{self.random.choice([1, 1, 2, 3])}"

    def _create(self, kind: str, name: str) -> None:
        make = {"Model": model, "Manifest": manifest, "Image": image, "Service": service}[kind]
        spec = self._spec(kind)
        if name == "m" and self.random.random() < 0.7:
            spec |= {"Model": {}, "Manifest": {"modelIds": ["m"]}, "Image": {"manifestId": "m"}}.get(
                kind, {"imageId": "m"}
            )
        self._log(f"create {kind} {name} {spec}")
        self.harness.apply(make(name, **spec))

    def _any(self, *, exists: bool) -> tuple[str, str] | None:
        found = [
            (kind, name)
            for kind, names in NAMES.items()
            for name in names
            if (self._live(kind, name) is not None) == exists
        ]
        return self.random.choice(found) if found else None

    def _edit(self) -> None:
        if chosen := self._any(exists=True):
            kind, name = chosen
            spec = self._spec(kind)
            if kind == "Manifest":
                spec = self.random.choice([spec, {"assets": spec["assets"]}, {"modelIds": spec["modelIds"]}])
            self._log(f"edit {kind} {name} {spec}")
            self.harness.change(kind, name, **spec)

    def _delete(self) -> None:
        if chosen := self._any(exists=True):
            self._log("delete {} {}".format(*chosen))
            self.cluster.remove(CUSTOM_RESOURCES[chosen[0]], "default", chosen[1])

    def _recreate(self) -> None:
        if chosen := self._any(exists=True):
            self._log("recreate {} {}".format(*chosen))
            self.cluster.remove(CUSTOM_RESOURCES[chosen[0]], "default", chosen[1])
            self._create(*chosen)

    def _create_missing(self) -> None:
        if chosen := self._any(exists=False):
            self._create(*chosen)

    def _complete(self) -> None:
        """Create all missing objects, and let the Service follow."""
        for kind, names in NAMES.items():
            for name in names:
                if self._live(kind, name) is None:
                    self._create(kind, name)
        self._log("edit Service m to follow Image m")
        self.harness.change("Service", imageId="m")

    # the cluster and its faults

    def _build(self, request: BuildRequest) -> BuildResult:
        if self.random.random() < 0.1:
            error = BuildError(code="Lost", message="try again", step=Step.BUILD, transient=True)
            return BuildResult(error=error)
        models = sorted((one.name, one.source.url or "") for one in request.models)
        content = tuple(models), request.assets[0].source.content or ""
        digest = "sha256:" + hashlib.sha256(repr(content).encode()).hexdigest()
        self._contents[digest] = content
        return BuildResult(digest=digest)

    def _step_cluster(self) -> None:
        self._log("builds and pods proceed")
        self.harness.step()

    def _plan_kill(self) -> None:
        self._kill = self.random.choice(["before", "after"]), self.random.randint(1, 12)
        self._log(f"kill the operator {self._kill[0]} call {self._kill[1]} from here")

    def _plan_failure(self) -> None:
        self._fail = self.random.choice(["before", "after"]), self.random.randint(1, 12)
        self._log(f"let a call fail {self._fail[0]} its effect, {self._fail[1]} calls from here")

    def _disconnect(self) -> None:
        expired = self.random.random() < 0.5
        self._log(f"end all watches{', and expire their resource versions' if expired else ''}")
        if expired:
            self.cluster.compact()
        self.cluster.hang_up()

    def _pause_garbage_collection(self) -> None:
        self._log("pause the garbage collector")
        self.cluster.collects = False

    def _resume_garbage_collection(self) -> None:
        self.cluster.collects = True
        self.cluster.collect()

    def _before_call(self, _: int, call: Call) -> None:
        self._check_moment()
        self._disturb("before", call)

    def _after_call(self, _: int, call: Call) -> None:
        self._check_moment()
        self._disturb("after", call)

    def _disturb(self, point: str, call: Call) -> None:
        if self._kill and self._kill[0] == point:
            self._kill = point, self._kill[1] - 1
            if not self._kill[1]:
                self._log(f"killed {point} {call}")
                self._kill, self.cluster.dead = None, True
                raise Killed
        if self._fail and self._fail[0] == point and call.verb not in _MAY_GET_LOST:
            self._fail = point, self._fail[1] - 1
            if not self._fail[1]:
                self._log(f"failed {point} {call}")
                self._fail = None
                raise Unavailable("try again")

    async def _turn(self, count: int) -> None:
        """Let the operator run for some turns of the event loop; start it again if it was killed."""
        for _ in range(count):
            await asyncio.sleep(0)
            if self.cluster.dead:
                await self._restart()

    async def _rest(self) -> None:
        """Play until nothing is due."""
        self._log("everything settles")
        while True:
            try:
                await self.harness.play(_LONG)
            except Killed:
                await self._restart()
            else:
                self._check_moment()
                return

    async def _restart(self) -> None:
        await self.harness.stop()
        await self._start()

    async def _start(self) -> None:
        while True:
            try:
                await self.harness.start()
            except Killed:
                await self.harness.stop()
            else:
                return

    async def _be_away(self) -> None:
        """Stop the operator during some actions of the user."""
        self._log("stop the operator")
        await self.harness.stop()
        for _ in range(self.random.randint(1, 4)):
            self.random.choice([self._recreate, self._recreate, self._edit, self._step_cluster])()
        self._log("start the operator")
        await self._start()

    # the expected content

    def _live(self, kind: str, name: str) -> Json | None:
        return self.cluster.objects.get((CUSTOM_RESOURCES[kind], "default", name))

    def _record(self, kind: str, id_: str) -> Revision | None:
        """Return the recorded version of a live object."""
        reference = parse_version_reference(id_)
        owner = self._live(kind, reference.name)
        body = self.cluster.objects.get(
            (REVISIONS, "default", f"{KINDS_BY_NAME[kind].singular}-{reference.name}-{reference.version}")
        )
        found = Revision.read(body) if body else None
        return found if found and owner and found.owner_uid == owner["metadata"]["uid"] else None

    def _read_records(self) -> None:
        """Remember the content of all versions that were ever recorded."""
        for event in self.cluster.history[self._seen :]:
            if event.resource is not REVISIONS or event.type != "ADDED" or not owner_of(event.body):
                continue
            if record := Revision.read(event.body):
                self._data[record.content_hash] = event.body["data"]
                if record.key.kind == "Model":
                    self._recorded[hash_of_referenced([record])] = event.body["data"]["url"]
                elif record.key.kind == "Manifest":
                    self._recorded[hash_of_referenced([record])] = self._content_of_record(record)
        self._seen = len(self.cluster.history)

    def _content_of_record(self, record: Revision) -> Content:
        """Return the content that a version of a Manifest had when it was recorded."""
        hashes = (record.referenced or "").split(",")
        names = [parse_version_reference(id_).name for id_ in record.references]
        models = sorted((name, self._recorded[hash_]) for name, hash_ in zip(names, hashes, strict=True))
        return tuple(models), self._data[record.content_hash]["assets"][0]["content"]

    def _model(self, reference: str) -> str | None:
        body = self._live("Model", parse_version_reference(reference).name)
        if body is None or ":" not in reference:
            return body["spec"]["url"] if body else None
        record = self._record("Model", reference)
        return self._data[record.content_hash]["url"] if record else None

    def _manifest(self, reference: str) -> Content | None:
        body = self._live("Manifest", parse_version_reference(reference).name)
        if body is None:
            return None
        if ":" in reference:
            record = self._record("Manifest", reference)
            return self._content_of_record(record) if record else None
        references = body["spec"]["modelIds"]
        models = [(parse_version_reference(text).name, self._model(text)) for text in references]
        found = [(name, url) for name, url in models if url is not None]
        return (
            (tuple(sorted(found)), body["spec"]["assets"][0]["content"])
            if len(found) == len(models)
            else None
        )

    def _image(self, reference: str) -> Content | None:
        body = self._live("Image", parse_version_reference(reference).name)
        if body is None or ":" not in reference:
            return self._manifest(body["spec"]["manifestId"]) if body else None
        record = self._record("Image", reference)
        return self._recorded[record.referenced or ""] if record else None

    def _served(self) -> Content | None:
        """Return the content that the pods of the Service run."""
        body = self.cluster.objects.get((DEPLOYMENTS, "default", "m"))
        template = body.get("status", {}).get("template") if body else None
        if template is None:
            return None
        return self._contents[template["spec"]["containers"][0]["image"].partition("@")[2]]

    def _follow_pods(self) -> None:
        """Remember the content of replaced pods, which answer until they stop."""
        before, served = self._served_before, self._served()
        if before is not None and served not in {None, before}:
            seconds = self.harness.settings.scoring.pre_stop_seconds
            self._stopping.append((self.harness.clock() + dt.timedelta(seconds=seconds), before))
        self._served_before = served

    def _chain(self, body: Json) -> list[Json | None]:
        """Return a Service and all objects that it follows; None for a missing one."""
        image_body = self._live("Image", parse_version_reference(body["spec"]["imageId"]).name)
        chain: list[Json | None] = [body, image_body]
        if image_body and ":" not in body["spec"]["imageId"]:
            text = image_body["spec"]["manifestId"]
            manifest_body = self._live("Manifest", parse_version_reference(text).name)
            chain.append(manifest_body)
            if manifest_body and ":" not in text:
                references = manifest_body["spec"]["modelIds"]
                chain += [self._live("Model", parse_version_reference(one).name) for one in references]
        return chain

    def _check_moment(self) -> None:
        """Note that everything reports Ready although other content is served."""
        self._follow_pods()
        body = self._live("Service", "m")
        if self.problem or body is None or not all(map(_is_ready, self._chain(body))):
            return
        self._read_records()
        expected, served = self._image(body["spec"]["imageId"]), self._served()
        stopping = [content for end, content in self._stopping if self.harness.clock() < end]
        if {expected} != {served, *stopping}:
            answers = f"{served} is served, and {stopping} stop"
            self.problem = f"everything is Ready, the objects ask for {expected}, {answers}"
            self._log(f"WRONG from here: {self.problem}")

    def _check_end(self) -> None:
        self._check_moment()
        body = self._live("Service", "m")
        if body is None:
            return
        self._read_records()
        expected, served = self._image(body["spec"]["imageId"]), self._served()
        if _is_ready(body):
            current = self._record("Image", body["status"]["imageId"])
            assert current, self._report("the Service is Ready without a version of its Image")
            recorded = self._recorded[current.referenced or ""]
            assert served == recorded, self._report(f"{recorded} is recorded, {served} is served")
        image_body = self._live("Image", body["spec"]["imageId"])
        if expected and image_body and ":" not in image_body["spec"]["manifestId"]:
            assert all(map(_is_ready, self._chain(body))), self._report("not everything becomes Ready")

    def _log(self, step: str) -> None:
        self.steps.append(step)

    def _report(self, problem: str) -> str:
        bodies = [self._live(kind, name) for kind, names in NAMES.items() for name in names]
        states = [
            f"  {body['kind']} {body['metadata']['name']} {body['spec']}: {body.get('status')}"
            for body in bodies
            if body
        ]
        return "\n".join([f"seed {self.seed}: {problem}", *self.steps, "objects:", *states])


def _is_ready(body: Json | None) -> bool:
    if body is None or body["status"]["observedGeneration"] != body["metadata"]["generation"]:
        return False
    conditions = body["status"].get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
