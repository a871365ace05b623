"""The Gateway of the platform: its listeners, and the reasons why they do not serve.

https://gateway-api.sigs.k8s.io/reference/spec/#gateway
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

from modelyard.api.conditions import find_condition
from modelyard.kube.types import Json

_SCHEMES: Final = {"HTTP": "http", "HTTPS": "https"}  # protocol of a listener → scheme of its URLs
_CERTIFICATE_REASONS: Final = {"InvalidCertificateRef", "RefNotPermitted"}
CERTIFICATE_MISSING: Final = "CertificateMissing"
_PENDING: Final = "its controller has not reported on it"


class Problem(NamedTuple):
    """Reason, in one CamelCase word, and message of a condition that is not True."""

    reason: str
    message: str


class Listener(NamedTuple):
    """A listener of the Gateway with the protocol HTTP or HTTPS."""

    name: str
    scheme: str
    port: int
    hostname: str  # empty: all hosts; `*.domain`: all hosts below it
    problem: Problem | None

    def accepts(self, host: str) -> bool:
        """Return whether the listener serves a host. A wildcard stands for one or more labels."""
        if self.hostname.startswith("*."):
            return host.endswith(self.hostname[1:])
        return self.hostname in {"", host}


class Gateway(NamedTuple):
    """The parts of a Gateway on which the URLs of Services depend. Two equal ones need no reconcile."""

    name: str  # namespace/name
    problem: Problem | None
    listeners: tuple[Listener, ...]

    @classmethod
    def read(cls, body: Json) -> Self:
        """Parse a Gateway as the API server sends it."""
        metadata, status = body["metadata"], body.get("status") or {}
        name = f"{metadata['namespace']}/{metadata['name']}"
        reports = {report["name"]: report for report in status.get("listeners") or ()}
        listeners = tuple(
            _listener(listener, reports.get(listener["name"]) or {})
            for listener in body["spec"].get("listeners") or ()
            if listener["protocol"] in _SCHEMES
        )
        return cls(name, _problem(status, f"Gateway {name}", "GatewayNotProgrammed"), listeners)

    def listener_for(self, host: str, section: str) -> Listener | Problem:
        """Return the listener whose URL a host has: an HTTPS listener before one of HTTP.

        A listener that serves comes before one with a problem. `section` is the name of the only listener
        that counts, empty for all.
        """
        found = [one for one in self.listeners if section in {"", one.name} and one.accepts(host)]
        if not found:
            which = f"listener {section}" if section else "listener"
            message = f"Gateway {self.name} has no HTTP or HTTPS {which} that accepts {host}"
            return Problem("ListenerMissing", message)
        return min(found, key=lambda one: (one.problem is not None, one.scheme != "https"))


def _listener(listener: Json, report: Json) -> Listener:
    subject = f"listener {listener['name']}"
    problem = _problem(report, subject, "ListenerNotProgrammed")
    if problem:
        references = find_condition("ResolvedRefs", report)
        if references and references["status"] == "False" and references["reason"] in _CERTIFICATE_REASONS:
            problem = Problem(CERTIFICATE_MISSING, f"{subject}: {references.get('message', '')}")
    return Listener(
        listener["name"],
        _SCHEMES[listener["protocol"]],
        listener["port"],
        listener.get("hostname") or "",
        problem,
    )


def _problem(status: Json, subject: str, reason: str) -> Problem | None:
    """Return why a Gateway or a listener does not serve, None if it does."""
    for type_ in ("Accepted", "ResolvedRefs", "Programmed"):
        condition = find_condition(type_, status)
        if condition and condition["status"] == "False":
            return Problem(reason, f"{subject}: {condition.get('reason')}: {condition.get('message')}")
    programmed = find_condition("Programmed", status)
    if programmed is None or programmed["status"] != "True":
        return Problem(reason, f"{subject}: {_PENDING}")
    return None
