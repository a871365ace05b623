"""The record of a build, and a signing key."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from modelyard.builder.attestation.build_record import (
    BuildRecord,
    build_record,
)
from modelyard.builder.attestation.signing_key import (
    KEY,
    KeySigner,
    load_signer,
)
from modelyard.builder.environment.packages import Package
from modelyard.contract.build_request import (
    AssetInput,
    BuildRequest,
    ModelInput,
    Source,
)

REPOSITORY = "registry.example.com/modelyard/team/diabetes"
IMAGE = f"sha256:{'1' * 64}"
BASE = f"sha256:{'b' * 64}"
MODEL = f"sha256:{'a' * 64}"
DRIVER = f"sha256:{'d' * 64}"
WHEEL = f"sha256:{'e' * 64}"
SECRETS = ("hunter2", "s3cr3t", "sig=", "token-of-the-index")

REQUEST = BuildRequest(
    repository=REPOSITORY,
    tag="f" * 64,
    base_image="mirror.example.com/library/python:3.11-slim",
    driver="driver",
    models=(
        ModelInput(
            name="diabetes",
            version=3,
            source=Source(
                url="https://me:hunter2@models.example.com/diabetes.joblib?sig=abc",
                credentials={"password": "s3cr3t"},
            ),
        ),
    ),
    assets=(AssetInput(id="driver", source=Source(content="def run(body): ...")),),
    pip_requirements="--index-url https://ci:token-of-the-index@pypi.example.com/simple\nscikit_learn==1.7.2\n",
    labels={"modelyard.dev/manifest": "diabetes:2"},
    registrations={"model diabetes": "again"},
)
PACKAGES = (
    Package("scikit_learn", "1.7.2", digest=WHEEL, license="BSD-3-Clause"),
    Package("numpy", "2.3.1"),
    Package("libgcc", "15.1.0", ecosystem="conda", qualifiers="build=h767d61c_3&subdir=linux-64"),
)


@pytest.fixture
def record() -> BuildRecord:
    return build_record(
        REQUEST,
        builder="layers",
        base_digest=BASE,
        digests={"model diabetes:3": MODEL, "asset driver": DRIVER},
        packages=PACKAGES,
    )


@pytest.fixture
def key_folder(tmp_path: Path) -> Path:
    """Return a folder like that of a mounted Secret, with a key in the format of openssl."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / KEY).write_bytes(pem)
    return tmp_path


@pytest.fixture
def signer(key_folder: Path) -> KeySigner:
    return load_signer(key_folder)
