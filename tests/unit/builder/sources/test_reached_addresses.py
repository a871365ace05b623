"""IPv4 addresses in IPv6 addresses, and addresses of the machine itself."""

from __future__ import annotations

import ipaddress

import pytest

from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.sources.reached_addresses import reached_addresses
from modelyard.contract.errors import SourceDeniedError
from modelyard.settings import DENIED_NETWORKS

POLICY = EgressPolicy(denied=tuple(map(ipaddress.ip_network, DENIED_NETWORKS)))
METADATA = "169.254.169.254"


@pytest.mark.parametrize(
    "address",
    [
        "::ffff:a9fe:a9fe",
        f"::ffff:{METADATA}",
        f"::ffff:0:{METADATA}",
        f"::{METADATA}",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",  # a prefix of 48 bits
        "64:ff9b:1:ffa9:fe:a9fe::",  # of 56 bits
        "64:ff9b:1:ffff:a9:fea9:fe00:0",  # of 64 bits
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "2001:0:102:304::5601:5601",
        "2001:db8::5efe:a9fe:a9fe",
        "2001:db8::200:5efe:a9fe:a9fe",
    ],
)
def test_ipv4_address_inside_of_an_ipv6_address_is_denied(address: str) -> None:
    assert ipaddress.ip_address(METADATA) in set(reached_addresses(address))
    with pytest.raises(SourceDeniedError):
        POLICY.check(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "::ffff:0.0.0.0",
        "64:ff9b::",
        "2002::",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "fe80::1%eth0",
    ],
)
def test_address_of_the_machine_itself_is_denied(address: str) -> None:
    with pytest.raises(SourceDeniedError):
        POLICY.check(address)


@pytest.mark.parametrize(
    "address",
    [
        METADATA,  # AWS, Azure, Google, DigitalOcean, OpenStack and others
        "169.254.170.2",  # containers of AWS
        "169.254.170.23",  # pods of EKS
        "169.254.0.23",  # Tencent
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fd00:42::42",
        "fe80::a9fe:a9fe",
    ],
)
def test_metadata_service_of_a_cloud_is_denied_by_default(address: str) -> None:
    with pytest.raises(SourceDeniedError):
        POLICY.check(address)


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "2001:4860:4860::8888",
        "64:ff9b::808:808",
        "2002:808:808::1",
        "::ffff:8.8.8.8",
        "100.100.100.201",
    ],
)
def test_public_address_is_allowed(address: str) -> None:
    POLICY.check(address)


def test_exception_is_for_the_address_that_is_reached() -> None:
    allowed = EgressPolicy(
        denied=(ipaddress.ip_network("10.0.0.0/8"),), allowed=(ipaddress.ip_network("10.1.0.0/16"),)
    )
    allowed.check("64:ff9b::a01:1")
    with pytest.raises(SourceDeniedError):
        allowed.check("64:ff9b::a02:1")
