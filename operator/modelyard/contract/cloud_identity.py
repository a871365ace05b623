"""The identity of a ServiceAccount in a cloud, as the operator hands it to a build.

The operator requests a short-lived token of the ServiceAccount. The build exchanges the token at the token
service of the cloud for credentials of the account that the annotations of the ServiceAccount name.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from modelyard.contract.urls import scheme


class Cloud(StrEnum):
    """Clouds whose token services exchange tokens of ServiceAccounts."""

    AWS = "aws"
    AZURE = "azure"
    GOOGLE = "google"


def cloud_of(url: str) -> Cloud | None:
    """Return the cloud of an object store's URL, None for another scheme."""
    clouds = {"s3": Cloud.AWS, "gs": Cloud.GOOGLE, "abfs": Cloud.AZURE, "abfss": Cloud.AZURE}
    return clouds.get(scheme(url))


class CloudIdentity(BaseModel):
    """A ServiceAccount, its token, and the cloud account for which the token is exchanged."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid"
    )

    cloud: Cloud
    service_account: str  # namespace/name
    token_audience: str  # of the ServiceAccount's token
    token: str = Field(default="", repr=False)  # the operator sets it when the build starts
    account: str = ""  # AWS: ARN of the role; Azure: client id; Google: service account, empty for none
    tenant: str = ""  # Azure: tenant id
    audience: str = ""  # Google: name of the workload identity provider
    token_url: str  # token service of the cloud; Azure: without the tenant
    impersonation_url: str = ""  # Google: IAM service account credentials
    region: str = ""  # AWS: of the buckets
    endpoint: str = ""  # another server with the API of the store; empty for that of the cloud

    @property
    def subject(self) -> str:
        """Return the ServiceAccount and the account in messages."""
        return f"ServiceAccount {self.service_account}" + (f" as {self.account}" if self.account else "")
