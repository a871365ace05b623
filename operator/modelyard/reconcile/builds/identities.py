"""Cloud identities of ServiceAccounts: which one a download may use, and the token that the build gets.

A user who may create a Model may use the ServiceAccounts of the namespace that have the label of sources, as
with Secrets. The token has the audience of one token service. The chart, not a user, names that service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelyard.api.names import SOURCE
from modelyard.contract.build_request import BuildRequest, Source
from modelyard.contract.cloud_identity import Cloud, CloudIdentity, cloud_of
from modelyard.kube.types import SERVICE_ACCOUNTS, Json
from modelyard.reconcile.builds.waiting import Waiting
from modelyard.reconcile.context import Context
from modelyard.settings import IdentitySettings

Identities = Mapping[tuple[str, Cloud], CloudIdentity]  # by name of the ServiceAccount

# Annotations of the webhooks of EKS, AKS and GKE, and one for the region of buckets.
ROLE_ARN: Final = "eks.amazonaws.com/role-arn"
CLIENT_ID: Final = "azure.workload.identity/client-id"
TENANT_ID: Final = "azure.workload.identity/tenant-id"
GOOGLE_ACCOUNT: Final = "iam.gke.io/gcp-service-account"
REGION: Final = "modelyard.dev/aws-region"
# The values become parts of URLs and of requests to token services.
_VALID: Final = {
    ROLE_ARN: re.compile(r"arn:[a-z0-9-]{1,32}:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,576}"),
    CLIENT_ID: re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    TENANT_ID: re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    GOOGLE_ACCOUNT: re.compile(r"[a-z0-9-]{1,63}@[a-z0-9.-]{1,190}"),
    REGION: re.compile(r"[a-z0-9-]{1,63}"),
}
_MIN_TOKEN_SECONDS: Final = 600  # of a TokenRequest


def named_sources(manifest: Json, models: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """Yield the name in messages and the content of each model and asset."""
    for id_, data in models.items():
        yield f"model {id_}", data
    for asset in manifest["assets"]:
        yield f"asset {asset['id']}", asset


async def read_identities(
    ctx: Context, namespace: str, manifest: Json, models: Mapping[str, Json]
) -> Identities | Waiting:
    """Return the identities of all sources without their tokens, or the first one that cannot be used."""
    identities: dict[tuple[str, Cloud], CloudIdentity] = {}
    for subject, source in named_sources(manifest, models):
        cloud = cloud_of(source.get("url", ""))
        name = source.get("serviceAccountName")
        if name is None or cloud is None or (name, cloud) in identities:
            continue
        if not _is_offered(cloud, ctx.settings.identity):
            return Waiting("IdentityNotOffered", f"{subject}: {_not_offered(cloud)}", stalled=True)
        account = await ctx.client.get_or_none(SERVICE_ACCOUNTS, namespace, name)
        if account is None:
            message = f"waiting for ServiceAccount {name}, which does not exist"
            return Waiting("ServiceAccountNotFound", message)
        if problem := _problem(account, cloud):
            message = f"{subject}: ServiceAccount {name} {problem}"
            return Waiting("ServiceAccountNotAllowed", message, stalled=True)
        identities[name, cloud] = _identity(f"{namespace}/{name}", account, cloud, ctx.settings.identity)
    return identities


def identity_of(source: Mapping[str, Any], identities: Identities) -> CloudIdentity | None:
    """Return the identity of a source, None if it names no ServiceAccount."""
    name, cloud = source.get("serviceAccountName"), cloud_of(source.get("url", ""))
    return identities[name, cloud] if name and cloud else None


async def with_tokens(ctx: Context, request: BuildRequest) -> BuildRequest:
    """Return the request of a build with a new token for each ServiceAccount and audience."""
    seconds = max(_MIN_TOKEN_SECONDS, int(ctx.settings.build.deadline_seconds))
    tokens: dict[tuple[str, str], str] = {}

    async def complete(source: Source) -> Source:
        identity = source.identity
        if identity is None:
            return source
        key = identity.service_account, identity.token_audience
        if key not in tokens:
            namespace, _, name = identity.service_account.partition("/")
            tokens[key] = await ctx.client.create_token(namespace, name, identity.token_audience, seconds)
        return source.model_copy(update={"identity": identity.model_copy(update={"token": tokens[key]})})

    models = [model.model_copy(update={"source": await complete(model.source)}) for model in request.models]
    assets = [asset.model_copy(update={"source": await complete(asset.source)}) for asset in request.assets]
    return request.model_copy(update={"models": tuple(models), "assets": tuple(assets)})


def _is_offered(cloud: Cloud, settings: IdentitySettings) -> bool:
    return settings.enabled and (cloud is not Cloud.GOOGLE or bool(settings.google.audience))


def _not_offered(cloud: Cloud) -> str:
    value = "google.audience" if cloud is Cloud.GOOGLE else "enabled"
    return f"serviceAccountName is not offered here: use secretRef, or ask for build.identity.{value}"


def _problem(account: Json, cloud: Cloud) -> str | None:
    """Return the rest of a sentence about a ServiceAccount that no download may use, else None."""
    metadata = account["metadata"]
    if (metadata.get("labels") or {}).get(SOURCE) != "true":
        return (
            f'has no label {SOURCE}: "true", so no download may use it. If all authors of Models in this'
            f" namespace may use it, run: kubectl label serviceaccount {metadata['name']} {SOURCE}=true"
        )
    annotations = metadata.get("annotations") or {}
    required = {Cloud.AWS: (ROLE_ARN,), Cloud.AZURE: (CLIENT_ID, TENANT_ID), Cloud.GOOGLE: ()}[cloud]
    if missing := [name for name in required if name not in annotations]:
        return f"lacks the annotation {' and '.join(missing)}: add the account in the cloud"
    for name, form in _VALID.items():
        if name in annotations and not form.fullmatch(annotations[name]):
            return f"has an annotation {name} that is not valid: correct it"
    return None


def _identity(name: str, account: Json, cloud: Cloud, settings: IdentitySettings) -> CloudIdentity:
    annotations = account["metadata"].get("annotations") or {}
    if cloud is Cloud.AWS:
        region = annotations.get(REGION, settings.aws.region)
        return CloudIdentity(
            cloud=cloud,
            service_account=name,
            token_audience=settings.aws.audience,
            account=annotations[ROLE_ARN],
            token_url=settings.aws.sts_url or f"https://sts.{region}.amazonaws.com",
            region=region,
            endpoint=settings.aws.endpoint,
        )
    if cloud is Cloud.AZURE:
        return CloudIdentity(
            cloud=cloud,
            service_account=name,
            token_audience=settings.azure.audience,
            account=annotations[CLIENT_ID],
            tenant=annotations[TENANT_ID],
            token_url=settings.azure.authority,
            endpoint=settings.azure.endpoint,
        )
    return CloudIdentity(
        cloud=cloud,
        service_account=name,
        token_audience=settings.google.token_audience or f"https:{settings.google.audience}",
        account=annotations.get(GOOGLE_ACCOUNT, ""),
        audience=settings.google.audience,
        token_url=settings.google.sts_url,
        impersonation_url=settings.google.credentials_url,
        endpoint=settings.google.endpoint,
    )
