"""The configuration of the `kubernetes` package, converted."""

from __future__ import annotations

from kubernetes.aio.client import Configuration

from modelyard.kube.kubeconfig import server_config


def test_configuration_is_converted() -> None:
    configuration = Configuration(host="https://a:6443", ssl_ca_cert="ca.crt", proxy="http://proxy")
    configuration.cert_file, configuration.key_file = "tls.crt", "tls.key"
    configuration.verify_ssl = False
    server = server_config(configuration)
    assert (server.url, server.ca_path, server.proxy_url) == ("https://a:6443", "ca.crt", "http://proxy")
    assert (server.client_certificate_path, server.client_key_path) == ("tls.crt", "tls.key")
    assert not server.verify_tls


async def test_token_is_refreshed_for_each_request() -> None:
    configuration = Configuration(host="https://a", api_key_prefix={"BearerToken": "Bearer"})
    tokens = iter(["one", "two"])

    async def refresh(configuration: Configuration) -> None:
        configuration.api_key["BearerToken"] = next(tokens)

    configuration.refresh_api_key_hook = refresh  # type: ignore[assignment]
    server = server_config(configuration)
    assert [await server.authorization() for _ in range(2)] == ["Bearer one", "Bearer two"]


async def test_configuration_without_a_token_is_anonymous() -> None:
    assert await server_config(Configuration(host="https://a")).authorization() is None
