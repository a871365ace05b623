"""The configuration of a pod's service account, or of KUBECONFIG.

Only the operator's side imports this module: `kubernetes` takes 0.75 s and 13 MB, and the gateway needs none
of it.
"""

from __future__ import annotations

from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from modelyard.kube.client import Client
from modelyard.kube.config import ServerConfig
from modelyard.kube.pyreqwest_transport import PyreqwestTransport

_USER_AGENT = "modelyard"


async def connect() -> Client:
    """Return a client with the pod's service account or, outside a cluster, with KUBECONFIG.

    Raises kubernetes.aio.config.ConfigException if there is neither.
    """
    configuration = Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException:
        await config.load_kube_config(client_configuration=configuration)
    return Client(PyreqwestTransport(server_config(configuration), user_agent=_USER_AGENT))


def server_config(configuration: Configuration) -> ServerConfig:
    """Convert the configuration of the `kubernetes` package."""

    async def authorization() -> str | None:
        header: str | None = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return header

    return ServerConfig(
        url=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        verify_tls=configuration.verify_ssl,
        client_certificate_path=configuration.cert_file,
        client_key_path=configuration.key_file,
        proxy_url=configuration.proxy,
        authorization=authorization,
    )
