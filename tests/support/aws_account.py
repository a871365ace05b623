"""An AWS account on this machine: the token service, IAM and S3 of versitygw.

Its token service verifies signature, issuer, audience, subject and expiry of a token against the trust policy
of the role. Its S3 server verifies the session token, and asks the policies of the role for each request.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.support.aws_signature import signed_headers
from tests.support.breaking_proxy import BreakingProxy
from tests.support.openid_issuer import Issuer
from tests.support.programs import program
from tests.support.servers import Server, free_port

AUDIENCE: Final = "sts.amazonaws.com"
_ROOT: Final = "root"
_SECRET: Final = "s3cret" * 6
_ACCOUNT: Final = "arn:aws:iam::000000000000"
_POLICY_NAME: Final = "read"


def role_arn(role: str) -> str:
    """Return the ARN of a role of the account."""
    return f"{_ACCOUNT}:role/{role}"


class AwsAccount:
    """The running servers: `token_url` is the token service, `endpoint` the S3 server."""

    def __init__(self, token_url: str, endpoint: str, iam: httpx.Client, files: Path, issuer: Issuer) -> None:
        self.token_url = token_url
        self.endpoint = endpoint
        self._iam = iam
        self._files = files
        self._issuer = issuer
        authority = x509.load_pem_x509_certificate(issuer.certificate.authority.read_bytes())
        self._call(
            "CreateOpenIDConnectProvider",
            {
                "Url": issuer.url,
                "ClientIDList.member.1": AUDIENCE,
                "ThumbprintList.member.1": authority.fingerprint(hashes.SHA1()).hex(),
            },
        )

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Write an object; create its bucket if there is none."""
        (self._files / bucket).mkdir(exist_ok=True)
        (self._files / bucket / key).write_bytes(content)

    def add_role(self, role: str, *, subject: str, bucket: str) -> None:
        """Add a role that a subject of the issuer may assume, and that may read the objects of one bucket."""
        provider = self._issuer.url.removeprefix("https://")
        trust = {
            "Effect": "Allow",
            "Principal": {"Federated": f"{_ACCOUNT}:oidc-provider/{provider}"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {f"{provider}:sub": subject, f"{provider}:aud": AUDIENCE}},
        }
        reads = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
        self._call("CreateRole", {"RoleName": role, "AssumeRolePolicyDocument": _policy(trust)})
        named = {"RoleName": role, "PolicyName": _POLICY_NAME}
        self._call("PutRolePolicy", named | {"PolicyDocument": _policy(reads)})

    def remove_role(self, role: str) -> None:
        """Delete a role: the credentials of its sessions are valid no longer."""
        self._call("DeleteRolePolicy", {"RoleName": role, "PolicyName": _POLICY_NAME})
        self._call("DeleteRole", {"RoleName": role})

    def _call(self, action: str, parameters: Mapping[str, str]) -> None:
        form = urlencode({"Action": action, "Version": "2010-05-08", **parameters}).encode()
        headers = signed_headers(self._iam.base_url.host, form, _ROOT, _SECRET)
        response = self._iam.post("/", content=form, headers=headers)
        assert response.is_success, response.text


@contextmanager
def aws_account(issuer: Issuer, folder: Path) -> Iterator[AwsAccount]:
    """Run the servers of an account that trusts an issuer."""
    for name in ("iam", "files", "about"):
        (folder / name).mkdir()
    gateway = program("versitygw")
    root = ["--access", _ROOT, "--secret", _SECRET, "--port"]
    api, private = folder / "api.sock", folder / "private.sock"
    iam = [gateway, *root, api, "iam", "--dir", folder / "iam", "--private-ports", private]
    port = free_port()
    s3 = [gateway, *root, f"127.0.0.1:{port}", "--iam-standalone-endpoint", private]
    s3 += ["posix", "--sidecar", folder / "about", folder / "files"]
    with (
        Server(issuer.isolated(*iam), 0, folder, unix_socket=private),
        Server(s3, port, folder) as store,
        httpx.Client(transport=httpx.HTTPTransport(uds=str(api)), base_url="http://iam") as client,
    ):
        front = BreakingProxy(api)  # the build connects by TCP
        try:
            endpoint = f"http://{store.address}"
            yield AwsAccount(f"http://{front.address}", endpoint, client, folder / "files", issuer)
        finally:
            front.stop()


def _policy(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
