"""Security context of the pods of a Service: the fields that the Pod Security level `restricted` leaves open.

https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from modelyard.api.base import INTEGER, ApiType
from modelyard.api.rules import Rule

_MAX_ID = 2**31 - 1  # of Kubernetes
Id = Annotated[int, Field(ge=1, le=_MAX_ID), INTEGER]


class SeccompProfile(ApiType):
    """Seccomp profile of the pods."""

    rules = (
        Rule(
            cel="(self.type == 'Localhost') == has(self.localhostProfile)",
            message="localhostProfile is required with the type Localhost, and not allowed with another type",
            is_valid=lambda profile: (profile.type == "Localhost") == (profile.localhost_profile is not None),
        ),
    )

    type: Literal["RuntimeDefault", "Localhost"]
    """Kind of the profile."""
    localhost_profile: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """Path of a profile below the seccomp folder of the kubelet."""


class SecurityContext(ApiType):
    """User, groups and seccomp profile of the pods, within the Pod Security level restricted."""

    run_as_user: Id | None = None
    """User id of the driver, not 0. Default: scoring.runAsUser of the chart."""
    run_as_group: Id | None = None
    """Group id of the driver, not 0. Default: scoring.runAsUser of the chart."""
    fs_group: Id | None = None
    """Group id of the files in volumes. Default: scoring.runAsUser of the chart."""
    fs_group_change_policy: Literal["OnRootMismatch", "Always"] | None = None
    """When the group of the files in volumes is set. Default: Always."""
    supplemental_groups: Annotated[tuple[Id, ...], Field(max_length=16)] = ()
    """Further group ids of the driver."""
    seccomp_profile: SeccompProfile | None = None
    """Seccomp profile. Default: RuntimeDefault."""
