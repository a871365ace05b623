"""Logging in to real registries, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.registry.conftest import TLS_HOST, USERS, Running, Start
from tests.support.programs import program
from tests.support.servers import Server, free_port

from modelyard.oci.errors import (
    RegistryForbiddenError,
    RegistryUnavailableError,
)
from modelyard.oci.registry_config import RegistryAccess

GUARDED = pytest.mark.parametrize("kind", ["basic", "token"])


def _pushes(running: Running, name: str = "models/a", access: RegistryAccess | None = None) -> bool:
    with running.client(access) as registry:
        blob = registry.upload_bytes(running.repository(name), b"{}")
        return registry.has_blob(running.repository(name), blob.digest)


@GUARDED
def test_a_wrong_password(start: Start, kind: str) -> None:
    running = start(kind)
    running.log_in("me", "wr0ng")
    with pytest.raises(
        RegistryForbiddenError, match=f"401.*check the credentials for {running.host}"
    ) as failure:
        _pushes(running)
    assert "wr0ng" not in str(failure.value) + "".join(running.log)


@GUARDED
def test_no_credentials(start: Start, kind: str) -> None:
    running = start(kind)
    with pytest.raises(RegistryForbiddenError, match=f"401.*there are no credentials for {running.host}"):
        _pushes(running, access=replace(running.access, config=None))


def test_a_user_that_may_only_pull(start: Start) -> None:
    running = start("token")
    assert _pushes(running, "shared/base")
    running.log_in("reader")
    with running.client() as registry:
        assert list(registry.tags(running.repository("shared/base"))) == []
    with pytest.raises(RegistryForbiddenError, match=f"for {running.host}/shared/base"):
        _pushes(running, "shared/base")


def test_one_token_is_for_all_of_a_repository(start: Start) -> None:
    running = start("token")
    assert running.tokens
    assert _pushes(running)
    (access,) = running.tokens.granted
    assert access == [{"type": "repository", "name": "models/a", "actions": ["pull", "push"]}]


def test_a_mount_asks_for_both_repositories(start: Start) -> None:
    running = start("token")
    assert running.tokens
    with running.client() as registry:
        blob = registry.upload_bytes(running.repository("shared/base"), b"{}")
        assert registry.mount_blob(running.repository("models/a"), blob.digest, "shared/base")
    assert {str(item["name"]) for item in running.tokens.granted[-1]} == {"models/a", "shared/base"}


def test_a_mount_from_where_one_may_not_read(start: Start) -> None:
    running = start("token")
    assert running.tokens
    with running.client() as registry:
        blob = registry.upload_bytes(running.repository("private/base"), b"{}")
    running.tokens.rights["me"] = {"models/": {"pull", "push"}}
    with running.client() as registry:
        assert not registry.mount_blob(running.repository("models/a"), blob.digest, "private/base")


@GUARDED
def test_a_password_that_is_rotated_while_a_build_runs(start: Start, kind: str) -> None:
    """In the registry and in the mounted Secret; the client is the same one."""
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


def test_an_authority_that_is_not_trusted(start: Start) -> None:
    running = start("token")
    with pytest.raises(RegistryUnavailableError, match="certificate verify failed"):
        _pushes(running, access=replace(running.access, ca_bundle=None))


def test_plain_http_is_for_those_named(tmp_path: Path) -> None:
    port = free_port(TLS_HOST)
    command = [program("crane"), "registry", "serve", "--address", f"{TLS_HOST}:{port}"]
    with Server(command, port, tmp_path, host=TLS_HOST) as server:
        running = Running(server, tmp_path / "config.json")
        running.log_in()
        with pytest.raises(RegistryUnavailableError, match="cannot be reached"):
            _pushes(running)
        assert _pushes(running, access=replace(running.access, insecure=frozenset({running.host})))
