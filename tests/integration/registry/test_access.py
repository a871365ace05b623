"""Authentication and authorization in real registries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.registry.conftest import TLS_HOST, USERS, RunningRegistry, Start
from tests.support.programs import program
from tests.support.servers import Server, free_port

from modelyard.oci.errors import (
    RegistryForbiddenError,
    RegistryUnavailableError,
)
from modelyard.oci.registry_config import RegistryAccess

WITH_LOGIN = pytest.mark.parametrize("kind", ["basic", "token"])


def _push(running: RunningRegistry, name: str = "models/a", access: RegistryAccess | None = None) -> bool:
    with running.client(access) as registry:
        blob = registry.upload_bytes(running.repository(name), b"{}")
        return registry.has_blob(running.repository(name), blob.digest)


@WITH_LOGIN
def test_wrong_password_is_forbidden(start: Start, kind: str) -> None:
    running = start(kind)
    running.log_in("me", "wr0ng")
    with pytest.raises(
        RegistryForbiddenError, match=f"401.*check the credentials for {running.host}"
    ) as failure:
        _push(running)
    assert "wr0ng" not in str(failure.value) + "".join(running.log)


@WITH_LOGIN
def test_missing_credentials_are_forbidden(start: Start, kind: str) -> None:
    running = start(kind)
    with pytest.raises(RegistryForbiddenError, match=f"401.*there are no credentials for {running.host}"):
        _push(running, access=replace(running.access, config=None))


def test_push_with_read_access_is_forbidden(start: Start) -> None:
    running = start("token")
    assert _push(running, "shared/base")
    running.log_in("reader")
    with running.client() as registry:
        assert list(registry.tags(running.repository("shared/base"))) == []
    with pytest.raises(RegistryForbiddenError, match=f"for {running.host}/shared/base"):
        _push(running, "shared/base")


def test_one_token_serves_all_requests_to_a_repository(start: Start) -> None:
    running = start("token")
    assert running.tokens
    assert _push(running)
    (access,) = running.tokens.granted
    assert access == [{"type": "repository", "name": "models/a", "actions": ["pull", "push"]}]


def test_mount_requests_a_token_for_both_repositories(start: Start) -> None:
    running = start("token")
    assert running.tokens
    with running.client() as registry:
        blob = registry.upload_bytes(running.repository("shared/base"), b"{}")
        assert registry.mount_blob(running.repository("models/a"), blob.digest, "shared/base")
    assert {str(item["name"]) for item in running.tokens.granted[-1]} == {"models/a", "shared/base"}


def test_mount_from_a_forbidden_repository_is_refused(start: Start) -> None:
    running = start("token")
    assert running.tokens
    with running.client() as registry:
        blob = registry.upload_bytes(running.repository("private/base"), b"{}")
    running.tokens.rights["me"] = {"models/": {"pull", "push"}}
    with running.client() as registry:
        assert not registry.mount_blob(running.repository("models/a"), blob.digest, "private/base")


@WITH_LOGIN
def test_client_reads_a_rotated_password(start: Start, kind: str) -> None:
    """The password changes in the registry, and then in the mounted Secret, while one client is open."""
    running = start(kind)
    with running.client() as registry:
        registry.upload_bytes(running.repository("models/a"), b"{}")
        if running.tokens:
            running.tokens.users["me"] = "rotated"
        if running.users:
            running.users.write_text(USERS["rotated"])
        with pytest.raises(RegistryForbiddenError):
            registry.upload_bytes(running.repository("models/b"), b"{}")
        running.log_in("me", "rotated")
        registry.upload_bytes(running.repository("models/b"), b"{}")


def test_certificate_of_an_untrusted_authority_is_refused(start: Start) -> None:
    running = start("token")
    with pytest.raises(RegistryUnavailableError, match="certificate verify failed"):
        _push(running, access=replace(running.access, ca_bundle=None))


def test_plain_http_is_used_for_insecure_registries_only(tmp_path: Path) -> None:
    port = free_port(TLS_HOST)
    command = [program("crane"), "registry", "serve", "--address", f"{TLS_HOST}:{port}"]
    with Server(command, port, tmp_path, host=TLS_HOST) as server:
        running = RunningRegistry(server, tmp_path / "config.json")
        running.log_in()
        with pytest.raises(RegistryUnavailableError, match="cannot be reached"):
            _push(running)
        assert _push(running, access=replace(running.access, insecure=frozenset({running.host})))
