"""The limits of the guard for each kind of job, with an installer that a package has taken over."""

from __future__ import annotations

import io
import ipaddress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.support.web_server import WebServer

from modelyard.builder.environment.guarded_installer import GuardedInstaller
from modelyard.builder.environment.package_job import InstalledPackages, PackageJob, PackageKind
from modelyard.builder.environment.pip_settings import PipSettings
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.contract.errors import SourceDeniedError

JOB = PackageJob(
    kind=PackageKind.PIP, folder=Path("/none"), platform="linux/amd64", python="3.12", requirements="six"
)
DENIED = EgressPolicy(denied=(ipaddress.ip_network("127.0.0.0/8"),))


def _install(url: str, policy: EgressPolicy, job: PackageJob = JOB) -> None:
    """Run a job whose installer requests a URL of its own choice."""

    def install(job: PackageJob, _: BuildLog) -> InstalledPackages:
        with httpx.Client(proxy=job.indexes.proxy) as client:
            client.get(url)
        return InstalledPackages(python="3.12")

    GuardedInstaller(PipSettings(policy=policy), install_users=install)(job, BuildLog(io.StringIO()))


@pytest.mark.parametrize("requirements", ["six", "six\n--index-url https://packages.example/simple"])
def test_every_job_of_a_user_is_limited_to_allowed_networks(web: WebServer, requirements: str) -> None:
    job = JOB.model_copy(update={"requirements": requirements})
    with pytest.raises(SourceDeniedError, match=r"pipRequirements: 127\.0\.0\.1 leads to an address"):
        _install(web.url, DENIED, job)
    assert not web.requests


def test_schemes_limit_jobs_that_name_a_host(web: WebServer) -> None:
    """Without a host of a user, only the platform's indexes lead to URLs."""
    policy = replace(DENIED, denied=(), schemes=frozenset({"oci"}))
    _install(web.url, policy)
    assert len(web.requests) == 1
    named = JOB.model_copy(update={"requirements": "six @ https://packages.example/six-1-py3-none-any.whl"})
    with pytest.raises(SourceDeniedError, match="is reached by http, which"):
        _install(web.url, policy, named)
    assert len(web.requests) == 1
