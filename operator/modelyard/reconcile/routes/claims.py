"""Addresses that Services claim: of several Services with one address, the oldest holds it."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from modelyard.kube.types import Key
from modelyard.resources.routing import Address


class _Claim(NamedTuple):
    """A Service by its age: the least claim is that of the oldest Service."""

    created: str  # RFC 3339
    key: Key


class RouteClaims:
    """The claims of all Services, by address. A restart of the operator computes the same holders."""

    def __init__(self) -> None:
        self.recovered = False  # whether all Services of the cache have claimed their addresses
        self._claims: dict[Address, set[_Claim]] = defaultdict(set)
        self._addresses: dict[Key, tuple[Address, _Claim]] = {}

    def claim(self, key: Key, created: str, address: Address | None) -> list[Key]:
        """Replace the claim of a Service; None claims no address. Return the Services that it may affect."""
        before = self._addresses.get(key)
        after = (address, _Claim(created, key)) if address else None
        if before == after:
            return []
        affected: set[Key] = set()
        if before:
            affected |= self._remove(*before)
            del self._addresses[key]
        if after:
            affected |= {claim.key for claim in self._claims[after[0]]}
            self._claims[after[0]].add(after[1])
            self._addresses[key] = after
        return sorted(affected - {key})

    def holder(self, address: Address) -> Key | None:
        """Return the Service that holds an address, None if no Service claims it."""
        claims = self._claims.get(address)
        return min(claims).key if claims else None

    def _remove(self, address: Address, claim: _Claim) -> set[Key]:
        claims = self._claims[address]
        claims.discard(claim)
        if not claims:
            del self._claims[address]
        return {other.key for other in claims}
