"""The IP addresses that a connection to one address may reach.

A gateway or the kernel reads an IPv4 address out of some IPv6 addresses, and takes 0.0.0.0 and :: for the
machine itself. A policy about networks has to check those addresses as well.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_THIS_HOST: Final = ipaddress.IPv4Network("0.0.0.0/8")
_LOOPBACK: Final = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))
_EMBEDDED: Final = (
    (ipaddress.IPv6Network("::/96"), 0),  # IPv4-compatible: RFC 4291, section 2.5.5.1
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped: RFC 4291, section 2.5.5.2
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated: RFC 2765, section 2.1
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64: RFC 6052
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4: RFC 3056
    (ipaddress.IPv6Network("2001::/32"), 64),  # the server of Teredo: RFC 4380
)
"""Network → bits to the right of an IPv4 address in it."""
_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
"""A prefix of this network may have 48, 56, 64 or 96 bits: RFC 8215, and RFC 6052, section 2.2."""
_TEREDO: Final = ipaddress.IPv6Network("2001::/32")
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})  # bits 64 to 95: RFC 5214, section 6.1


def reached_addresses(text: str) -> Iterator[Address]:
    """Yield the address, and each address that a connection to it may reach in its place.

    Raises ValueError if the text is not an IP address. A zone (`fe80::1%eth0`) is ignored.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    yield address
    if address.is_unspecified:
        yield from _LOOPBACK
    if isinstance(address, ipaddress.IPv4Address):
        if address in _THIS_HOST:
            yield from _LOOPBACK
        return
    for number in _embedded(address):
        yield from reached_addresses(str(ipaddress.IPv4Address(number & 0xFFFFFFFF)))


def _embedded(address: ipaddress.IPv6Address) -> Iterator[int]:
    """Yield the IPv4 addresses in the address. Only the 32 bits on the right of each number count."""
    bits = int(address)
    for network, shift in _EMBEDDED:
        if address in network:
            yield bits >> shift
    if address in _TEREDO:
        yield ~bits  # of the client, with all bits inverted
    if address in _LOCAL_NAT64:
        yield bits
        # Bits 64 to 71 are zero: an address that crosses them continues after them.
        for length in (48, 56, 64):
            yield _around_u_bits(bits, length)
    if bits >> 32 & 0xFFFFFFFF in _ISATAP:
        yield bits


def _around_u_bits(bits: int, prefix_length: int) -> int:
    """Return the IPv4 address after a prefix, without bits 64 to 71 of the IPv6 address."""
    without = bits >> 64 << 56 | bits & ((1 << 56) - 1)
    return without >> (120 - 32 - prefix_length)
