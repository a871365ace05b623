"""Spellings of IP addresses in URLs: numbers of other bases, embedded addresses, and confusing characters."""

from __future__ import annotations

import ipaddress
import random
from typing import Final

# Addresses of this machine and of metadata services: all are in the chart's default of deniedNetworks.
_IPV4: Final = (
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "0.0.0.0",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.0.23",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
)
_IPV6: Final = (
    "::1",
    "::",
    "fe80::a9fe:a9fe",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "fd00:42::42",
)
CHANGING_NAME: Final = "changing.test"
"""A name whose address differs from one look-up to the next."""
_NAMES: Final = (
    CHANGING_NAME,
    "localhost",
    "LOCALHOST",
    "LocalHost",
    "localhost.",
    "loca%6Chost",
    "\u24dbocalhost",
    "localho\u017ft",
)
_DIGITS: Final = (0xFF10, 0x0660, 0x1D7CE, 0x2460 - 1, 0x2080)  # fullwidth, Arabic, bold, circled, subscript
_DOTS: Final = ("\u3002", "\uff0e", "\uff61", "%2e", "%2E")
_USERS: Final = (
    "",
    "",
    "",
    "",
    "user@",
    "user:pw@",
    "example.com@",
    "example.com%40",
    "a@b@",
    "example.com:80@",
    "@",
)
_BREAKS: Final = (
    "\t",
    "\n",
    "\r",
    " ",
    "\\",
    "/",
    "\0",
    "#",
    "?",
    "%00",
    "%0a",
    ";",
    "\u00ad",
    "\u200b",
    "\x7f",
)
_SCHEMES: Final = (
    "http://",
    "http://",
    "http://",
    "http://",
    "HTTP://",
    "https://",
    "hTTp://",
    "http:/",
    "http:",
    "//",
    "http:\\\\",
)
_PATHS: Final = ("/", "", "/x", "?x", "#x", "/latest/meta-data", "/%2e%2e/", "\\x", ";x")


def spelling(chance: random.Random, port: int) -> str:
    """Return a URL that may lead to a denied address, or that no program can read."""
    host = _host(chance)
    url = (
        f"{chance.choice(_SCHEMES)}{chance.choice(_USERS)}{host}{_port(chance, port)}{chance.choice(_PATHS)}"
    )
    if chance.random() < 0.1:
        place = chance.randrange(len(url) + 1)
        url = url[:place] + chance.choice(_BREAKS) + url[place:]
    return url


def _port(chance: random.Random, port: int) -> str:
    if chance.random() < 0.85:
        return f":{port}"
    return chance.choice(("", ":", f":0{port}", f":{port + 65536}", ":-1", ":http", f":{port}:80"))


def _host(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.05:
        return chance.choice(_NAMES)
    if kind < 0.5:
        return _disguised(chance, _numbers(chance, ipaddress.IPv4Address(_ipv4(chance))))
    address = _embedded(chance) if kind < 0.9 else ipaddress.IPv6Address(chance.choice(_IPV6))
    return _bracketed(chance, address)


def _ipv4(chance: random.Random) -> str:
    if chance.random() < 0.5:
        return chance.choice(_IPV4)
    rest = ".".join(str(chance.randrange(256)) for _ in range(2))
    return chance.choice((f"127.{chance.randrange(256)}.{rest}", f"169.254.{rest}"))


def _numbers(chance: random.Random, address: ipaddress.IPv4Address) -> str:
    """Return the address with one to four parts, each in a base of its own, as inet_aton reads it."""
    parts = [*address.packed]
    count = chance.randrange(1, 5)
    last = int.from_bytes(parts[count - 1 :], "big")
    return ".".join(_number(chance, number) for number in (*parts[: count - 1], last))


def _number(chance: random.Random, number: int) -> str:
    zeros = "0" * chance.randrange(1, 4)
    forms = (
        str(number),
        str(number),
        hex(number),
        f"0X{number:X}",
        f"0x{zeros}{number:x}",
        f"0{number:o}",
        f"{zeros}{number:o}",
    )
    return chance.choice(forms)


def _disguised(chance: random.Random, text: str) -> str:
    kind = chance.random()
    if kind < 0.6:
        return text + ("." if kind < 0.05 else "")
    if kind < 0.75:
        zero = chance.choice(_DIGITS)
        return "".join(chr(zero + int(c)) if c.isdecimal() and chance.random() < 0.7 else c for c in text)
    if kind < 0.85:
        return text.replace(".", chance.choice(_DOTS))
    return "".join(f"%{ord(c):02x}" if chance.random() < 0.3 else c for c in text)


def _embedded(chance: random.Random) -> ipaddress.IPv6Address:
    """Return an IPv6 address out of which a kernel or a gateway reads a denied IPv4 address."""
    inner = int(ipaddress.IPv4Address(_ipv4(chance)))
    noise = chance.getrandbits(64)
    forms = (
        inner,
        0xFFFF << 32 | inner,
        0xFFFF << 48 | inner,
        0x64FF9B << 96 | inner,
        0x64FF9B0001 << 80 | inner,
        0x2002 << 112 | inner << 80 | noise,
        0x20010000 << 96 | inner << 64 | noise,
        0x20010000 << 96 | noise << 32 | (~inner & 0xFFFFFFFF),
        noise << 64 | chance.choice((0x5EFE, 0x2005EFE)) << 32 | inner,
    )
    return ipaddress.IPv6Address(chance.choice(forms))


def _bracketed(chance: random.Random, address: ipaddress.IPv6Address) -> str:
    dotted = f"{ipaddress.IPv6Address(int(address) >> 32 << 32)}"
    tail = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    texts = (
        str(address),
        str(address).upper(),
        address.exploded,
        ":".join(f"{int(group, 16):x}" for group in address.exploded.split(":")),
        f"{address.exploded[:30]}{tail}",
        dotted if int(tail) == 0 else f"::{tail}" if int(address) >> 32 == 0 else str(address),
    )
    zone = chance.choice(("", "", "", "", "%25lo", "%lo", "%1", "%25"))
    text = f"[{chance.choice(texts)}{zone}]"
    return text if chance.random() < 0.95 else text.strip(chance.choice("[]"))
