"""Stories that lead to each state of each kind: one for each row of the table in docs/states.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from tests.unit.fake_api_server import WRITES, Call
from tests.unit.operator_harness import (
    OperatorHarness,
    image,
    manifest,
    model,
    sample_objects,
    service,
    source_secret,
)
from tests.unit.reconcile.test_forged_records import forge
from tests.unit.reconcile.test_recreation import remove

from modelyard.api import labels
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.contract.build_request import (
    BuildError,
    BuildRequest,
    BuildResult,
    Step,
)
from modelyard.kube.errors import Rejected, Unavailable
from modelyard.kube.types import (
    DEPLOYMENTS,
    EVENTS,
    GATEWAYS,
    PODS,
    REVISIONS,
    SECRETS,
    SERVICE_ACCOUNTS,
    ApiResource,
    Json,
)
from modelyard.resources.serving import template_hash
from modelyard.settings import GatewayReference, IdentitySettings, OperatorSettings, RoutingSettings

Story = Callable[[OperatorHarness], Awaitable[None]]


async def no_more_to_do(harness: OperatorHarness) -> None:
    await harness.settle()


def applied(*bodies: Json, then: Story = no_more_to_do) -> Story:
    """Return a story that applies objects before `then`."""

    async def tell(harness: OperatorHarness) -> None:
        harness.apply(*bodies)
        await then(harness)

    return tell


def served(*, then: Story) -> Story:
    """Return a story in which all objects are applied and served before `then`."""

    async def tell(harness: OperatorHarness) -> None:
        harness.apply(*sample_objects())
        await harness.play()
        await then(harness)

    return tell


def built(*, transient: bool | None = None) -> Story:
    """Return a story in which builds end: with success (None), or with a transient or terminal error."""
    code = "SourceUnavailable" if transient else "PipFailed"

    def fail(request: BuildRequest) -> BuildResult:
        return BuildResult(
            error=BuildError(code=code, step=Step.BUILD, message="no", transient=bool(transient))
        )

    async def tell(harness: OperatorHarness) -> None:
        if transient is not None:
            harness.outcome = fail
        await harness.play(seconds=3)

    return tell


async def at_once(harness: OperatorHarness) -> None:
    """Do nothing: the operator has not reconciled the objects yet."""


async def pods_stay_away(harness: OperatorHarness) -> None:
    harness.serves = False
    await harness.play(seconds=3)


async def rollout_is_overdue(harness: OperatorHarness) -> None:
    await pods_stay_away(harness)
    harness.cluster.change(DEPLOYMENTS, "default", "m", {"status": {"conditions": [LATE]}}, "status")
    await harness.settle()


async def pods_fail_later(harness: OperatorHarness) -> None:
    status = {"availableReplicas": 0, "readyReplicas": 0}
    harness.cluster.change(DEPLOYMENTS, "default", "m", {"status": status}, "status")
    await harness.settle()


async def scaled_to_none(harness: OperatorHarness) -> None:
    harness.change("Service", numReplicas=0)
    await harness.play()


async def next_build_runs(harness: OperatorHarness) -> None:
    harness.change("Model", url="https://h/2")
    await harness.settle()


async def image_goes(harness: OperatorHarness) -> None:
    harness.cluster.remove(CUSTOM_RESOURCES["Image"], "default", "m")
    await harness.settle()


async def no_build_is_free(harness: OperatorHarness) -> None:
    limit = harness.settings.build.concurrent_per_namespace
    harness.apply(model(), manifest(), *(image(f"i{number}") for number in range(limit)))
    await harness.settle()
    harness.apply(image())
    await harness.settle()


async def registry_is_lost(harness: OperatorHarness) -> None:
    await harness.stop()
    registry = harness.settings.registry.model_copy(update={"verify_seconds": 60})
    harness.settings = harness.settings.model_copy(update={"registry": registry})
    harness.registry.images.clear()
    await harness.start()
    await harness.play(alone=True)


async def edited(harness: OperatorHarness) -> None:
    for kind, change in (
        ("Model", {"url": "https://h/2"}),
        ("Manifest", {"webserviceType": "Realtime"}),
        ("Image", {"name": "other"}),
        ("Service", {"numReplicas": 2}),
    ):
        harness.change(kind, **change)


async def failed_model_is_edited(harness: OperatorHarness) -> None:
    """Let the build fail, and edit the Model while the API server takes no version."""
    await FAILS(harness)

    def refuse(_: int, call: Call) -> None:
        if (call.verb, call.resource) == ("create", REVISIONS.plural):
            raise Unavailable("away")

    harness.cluster.fault = refuse
    harness.change("Model", url="https://h/2")
    await harness.settle()


async def next_build_fails(harness: OperatorHarness) -> None:
    harness.change("Model", url="https://h/2")
    await FAILS(harness)


async def record_is_taken(harness: OperatorHarness) -> None:
    await harness.cluster.create(
        REVISIONS, "default", {"metadata": {"name": "model-m-1"}, "revision": 1, "data": {}}
    )
    await applied(model())(harness)


def pods(pod: Json | None = None, status: Json | None = None) -> Story:
    """Return a story in which a rollout has a pod, or a Deployment a status, that keeps it from its end."""

    async def tell(harness: OperatorHarness) -> None:
        await pods_stay_away(harness)
        if pod is not None:
            mark = template_hash(harness.cluster.at(DEPLOYMENTS, "m"))
            metadata = {
                "name": "m-1",
                "labels": labels.selector_of("m"),
                "annotations": {labels.TEMPLATE_HASH: mark},
            }
            harness.cluster.put(PODS, "default", {"metadata": metadata, "status": pod})
        if status is not None:
            harness.cluster.change(DEPLOYMENTS, "default", "m", {"status": status}, "status")
        await harness.play(seconds=10, alone=True)

    return tell


async def volume_is_missing(harness: OperatorHarness) -> None:
    regarding = {"kind": "Pod", "name": "m-1"}
    event = {"type": "Warning", "reason": "FailedMount", "regarding": regarding, "note": "not found"}
    harness.cluster.put(EVENTS, "default", {"metadata": {"name": "e"}} | event)
    await pods(CREATING)(harness)


def restarted(*conditions: Json) -> Story:
    """Return a story in which new pods of the same version do not become ready."""

    async def tell(harness: OperatorHarness) -> None:
        harness.serves = False
        annotations = {"kubectl.kubernetes.io/restartedAt": "now"}
        spec = {"template": {"metadata": {"annotations": annotations}}}
        harness.cluster.change(DEPLOYMENTS, "default", "m", {"spec": spec})
        await harness.play(seconds=3)
        if conditions:
            status = {"conditions": list(conditions)}
            harness.cluster.change(DEPLOYMENTS, "default", "m", {"status": status}, "status")
            await harness.play(seconds=10, alone=True)

    return tell


async def more_pods_are_refused(harness: OperatorHarness) -> None:
    harness.cluster.change(DEPLOYMENTS, "default", "m", {"status": REFUSED}, "status")
    await harness.settle()


async def pinned_image_is_cancelled(harness: OperatorHarness) -> None:
    harness.apply(*sample_objects()[:3], service(imageId="m:1"))
    await harness.settle()
    await next_build_runs(harness)
    await harness.play(seconds=3)


async def setting_is_denied(harness: OperatorHarness) -> None:
    harness.change("Service", pod={"priorityClassName": "high"})
    await harness.play(seconds=3)


async def deployment_is_refused(harness: OperatorHarness) -> None:
    def refuse(_: int, call: Call) -> None:
        if call.resource == DEPLOYMENTS.plural and call.verb in WRITES:
            raise Rejected("admission webhook denied the request", status=422, reason="Invalid")

    harness.cluster.fault = refuse
    await harness.play(seconds=3)


async def child_is_taken(harness: OperatorHarness) -> None:
    await harness.cluster.create(DEPLOYMENTS, "default", {"metadata": {"name": "m"}, "spec": {}})
    await applied(*sample_objects())(harness)
    await harness.play(seconds=3)


def published(host: str = "", *, then: Story) -> Story:
    """Return a story in which the platform publishes Services, and the Service may name a host."""

    async def tell(harness: OperatorHarness) -> None:
        await harness.stop()
        gateway = GatewayReference(name="public", namespace="infra")
        routing = RoutingSettings(kind="HTTPRoute", host="{service}.example.com", gateway=gateway)
        harness.settings = harness.settings.model_copy(update={"routing": routing})
        section: Json = {"name": "https", "protocol": "HTTPS", "port": 443}
        conditions = [{"type": "Programmed", "status": "True"}]
        report = {"conditions": conditions, "listeners": [{"name": "https", "conditions": conditions}]}
        body = {"metadata": {"name": "public"}, "spec": {"listeners": [section]}, "status": report}
        harness.cluster.put(GATEWAYS, "infra", body)
        await harness.start()
        harness.apply(*WITHOUT_SERVICE, service(**({"route": {"host": host}} if host else {})))
        await then(harness)

    return tell


async def within_seconds(harness: OperatorHarness) -> None:
    await harness.play(seconds=3)


async def after_minutes(harness: OperatorHarness) -> None:
    await harness.play(seconds=300)


def forged(kind: str, *bodies: Json) -> Story:
    """Return a story in which another client has recorded version 2 of an object, and `bodies` follow."""

    async def tell(harness: OperatorHarness) -> None:
        forge(harness, kind, 2, {})
        harness.apply(*bodies)
        await harness.play(seconds=3)

    return tell


def stored(resource: ApiResource, body: Json, *, offers_identities: bool = True) -> Story:
    """Return a story in which a Model names an object of a user."""
    field = {"secretRef": {"name": "store"}} if resource is SECRETS else {"serviceAccountName": "reader"}

    async def tell(harness: OperatorHarness) -> None:
        if resource is SERVICE_ACCOUNTS and offers_identities:
            await harness.stop()
            harness.settings = OperatorSettings(identity=IdentitySettings(enabled=True))
            await harness.start()
        if body:
            harness.cluster.put(resource, "default", body)
        harness.apply(model(url="s3://b/k", **field), *WITHOUT_SERVICE[1:])
        await harness.play(seconds=3)

    return tell


async def model_is_replaced(harness: OperatorHarness) -> None:
    await harness.settle()
    remove(harness, "Model")
    harness.apply(model(url="https://h/other"))
    await harness.play(seconds=3)
    harness.apply(image(manifestId="m:1"))
    await harness.play(seconds=3)


async def last_attempt_fails(harness: OperatorHarness) -> None:
    await built(transient=True)(harness)
    await harness.play(seconds=24 * 3600)


LATE: Final = {
    "type": "Progressing",
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": "late",
}
QUOTA: Final = {
    "type": "ReplicaFailure",
    "status": "True",
    "reason": "FailedCreate",
    "message": "exceeded quota: pods",
}
REFUSED: Final = {"conditions": [QUOTA]}
REFUSED_TOO_LONG: Final = pods(status={"conditions": [QUOTA, LATE]})
TRIED_AGAIN: Final = built(transient=True)
NO_ROOM: Final = {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]}


EVICTED: Final = {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}


def container(**state: Json) -> Json:
    return {"containerStatuses": [{"name": "scoring", "image": "i@sha256:1", **state}]}


NO_PULL: Final = container(state={"waiting": {"reason": "ImagePullBackOff"}})
CRASH: Final = container(
    state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": {"exitCode": 1}}
)
CREATING: Final = container(state={"waiting": {"reason": "ContainerCreating"}})
NO_CONFIGURATION: Final = container(state={"waiting": {"reason": "CreateContainerConfigError"}})
WITHOUT_IMAGE: Final = sample_objects()[:2]
WITHOUT_SERVICE: Final = sample_objects()[:3]
FAILS: Final = built(transient=False)
PRIVATE: Final = model(url="https://h/1", secretRef={"name": "absent"})


UNLABELLED: Final = source_secret(token="s3cr3t") | {"metadata": {"name": "store"}}


STORIES: Final[dict[tuple[str, str], Story]] = {
    ("Model", "just applied"): applied(model(), then=at_once),
    ("Model", "registered"): applied(model()),
    ("Model", "edited"): served(then=edited),
    ("Model", "its record's name is taken"): record_is_taken,
    ("Manifest", "just applied"): applied(*sample_objects(), then=at_once),
    ("Manifest", "waits for its model"): applied(manifest()),
    ("Manifest", "created"): applied(*WITHOUT_IMAGE),
    ("Manifest", "edited"): served(then=edited),
    ("Manifest", "refers to a version that is not valid"): applied(
        model(), then=forged("Model", manifest(modelIds=["m:2"]))
    ),
    ("Image", "just applied"): applied(*sample_objects(), then=at_once),
    ("Image", "waits for its manifest"): applied(image()),
    ("Image", "waits for a secret"): applied(PRIVATE, *WITHOUT_SERVICE[1:]),
    ("Image", "its secret has no label"): stored(SECRETS, UNLABELLED),
    ("Image", "its secret has no key for the url"): stored(SECRETS, source_secret(token="s3cr3t")),
    ("Image", "waits for a service account"): stored(SERVICE_ACCOUNTS, {}),
    ("Image", "its service account has no label"): stored(SERVICE_ACCOUNTS, {"metadata": {"name": "reader"}}),
    ("Image", "the chart offers no cloud identities"): stored(SERVICE_ACCOUNTS, {}, offers_identities=False),
    ("Image", "refers to a version that is not valid"): applied(
        *WITHOUT_IMAGE, then=forged("Manifest", image(manifestId="m:2"))
    ),
    ("Image", "its model was replaced"): applied(*WITHOUT_IMAGE, then=model_is_replaced),
    ("Image", "being built"): applied(*WITHOUT_SERVICE),
    ("Image", "built"): applied(*WITHOUT_SERVICE, then=built()),
    ("Image", "failed"): applied(*WITHOUT_SERVICE, then=FAILS),
    ("Image", "failed, its model is edited"): applied(*WITHOUT_SERVICE, then=failed_model_is_edited),
    ("Image", "failed, tried again"): applied(*WITHOUT_SERVICE, then=built(transient=True)),
    ("Image", "waits for a free build"): no_build_is_free,
    ("Image", "lost by the registry"): served(then=registry_is_lost),
    ("Image", "edited"): served(then=edited),
    ("Image", "being built again"): served(then=next_build_runs),
    ("Service", "just applied"): applied(*sample_objects(), then=at_once),
    ("Service", "waits for an image to be made"): applied(service()),
    ("Service", "waits for its image's build"): applied(*sample_objects()),
    ("Service", "waits for an image that failed"): applied(*sample_objects(), then=FAILS),
    ("Service", "waits for an image that failed, its model is edited"): applied(
        *sample_objects(), then=failed_model_is_edited
    ),
    ("Service", "rolling out"): applied(*sample_objects(), then=pods_stay_away),
    ("Service", "rollout overdue"): applied(*sample_objects(), then=rollout_is_overdue),
    ("Service", "serving"): served(then=at_once),
    ("Service", "scaled to none"): served(then=scaled_to_none),
    ("Service", "edited"): served(then=edited),
    ("Service", "serving an older image while one is built"): served(then=next_build_runs),
    ("Service", "serving an older image since a build failed"): served(then=next_build_fails),
    ("Service", "its pods fail later"): served(then=pods_fail_later),
    ("Service", "its image has gone"): served(then=image_goes),
    ("Image", "failed, its last attempt"): applied(*WITHOUT_SERVICE, then=last_attempt_fails),
    ("Service", "waits for an image that is tried again"): applied(*sample_objects(), then=TRIED_AGAIN),
    ("Service", "waits for a pinned image that was cancelled"): pinned_image_is_cancelled,
    ("Service", "its pods are refused"): applied(*sample_objects(), then=pods(status=REFUSED)),
    ("Service", "its pods are refused until the deadline"): applied(*sample_objects(), then=REFUSED_TOO_LONG),
    ("Service", "no node has room"): applied(*sample_objects(), then=pods(NO_ROOM)),
    ("Service", "its image cannot be pulled"): applied(*sample_objects(), then=pods(NO_PULL)),
    ("Service", "its container crashes"): applied(*sample_objects(), then=pods(CRASH)),
    ("Service", "its container has an invalid configuration"): applied(
        *sample_objects(), then=pods(NO_CONFIGURATION)
    ),
    ("Service", "a volume cannot be mounted"): applied(*sample_objects(), then=volume_is_missing),
    ("Service", "its pod was evicted"): applied(*sample_objects(), then=pods(EVICTED)),
    ("Service", "refers to a version that is not valid"): applied(
        *WITHOUT_SERVICE, then=forged("Image", service(imageId="m:2"))
    ),
    ("Service", "the platform does not allow its settings"): served(then=setting_is_denied),
    ("Service", "its Deployment is refused"): applied(*sample_objects(), then=deployment_is_refused),
    ("Service", "a child's name is taken"): child_is_taken,
    ("Service", "serving, further pods are refused"): served(then=more_pods_are_refused),
    ("Service", "rolled out, the data plane has yet to report on its route"): published(then=within_seconds),
    ("Service", "serving, the data plane does not serve its URL"): published(then=after_minutes),
    ("Service", "serving, its namespace may not take its host"): published("a.b.c", then=within_seconds),
    ("Service", "new pods of the same version"): served(then=restarted()),
    ("Service", "new pods of the same version, overdue"): served(then=restarted(LATE)),
}  # fmt: skip
