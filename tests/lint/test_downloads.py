"""Each download of the scripts has a checksum."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import pytest
from tests.lint.downloads import findings, scripts

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "tests" / "cluster"
PINS = dict(
    line.split("=", 1) for line in (CLUSTER / "pins.env").read_text().splitlines() if re.match(r"\w+=", line)
)


def test_scripts_verify_each_download() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = list(scripts(ROOT, listed.splitlines()))
    assert CLUSTER / "parts.sh" in files
    found = {str(file): list(findings(file.read_text(encoding="utf-8"))) for file in files}
    assert {file: lines for file, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "curl --silent --output kind https://example.com/kind",
        "curl -fsSL https://example.com/x.tgz |\n  tar --extract".replace("|\n", "| \\\n"),
        "curl https://example.com/install | sh",
        "wget -O kind https://example.com/kind",
        "pip install uv==1",
        "uv pip install numpy",
        "python3 -m pip --python x install numpy",
        "npm install azurite",
        "export GOSUMDB=off",
        "docker pull python:3.11",
        "FROM python:3.11-slim",
        "ARG BASE_IMAGE=python:3.11-slim",
        "BASE_IMAGE=${PYTHON_BASE_IMAGE:-python:3.11-slim}",
    ],
)
def test_download_without_a_checksum_is_found(line: str) -> None:
    assert list(findings(line))


@pytest.mark.parametrize(
    "line",
    [
        'curl --silent --max-time 4 --output /dev/null "$url"',
        'curl --fail --silent "http://$REGISTRY/v2/" || die',
        "pip install --require-hashes -r x.txt",
        "pip install --no-index --target y /wheel/*.whl",
        "npm ci --omit=dev",
        "FROM python:3.11@sha256:00",
        "FROM ${BASE_IMAGE} AS dependencies",
        "# docker pull python:3.11",
    ],
)
def test_verified_download_is_no_finding(line: str) -> None:
    assert not list(findings(line))


def test_published_programs_have_a_checksum_for_each_architecture() -> None:
    sums = {name: value for name, value in PINS.items() if "_SHA256_" in name}
    programs = {name.partition("_SHA256_")[0] for name in sums}
    assert programs == {"KIND", "HELM", "KUBECTL", "COSIGN"}
    assert set(sums) == {f"{name}_SHA256_{arch}" for name in programs for arch in ("amd64", "arm64")}
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in sums.values())


def test_published_images_have_a_digest() -> None:
    images = {name: value for name, value in PINS.items() if "IMAGE" in name}
    assert len(images) >= 5
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", value) for value in images.values())


@pytest.mark.parametrize("is_genuine", [True, False])
def test_script_removes_a_download_with_another_checksum(tmp_path: Path, is_genuine: bool) -> None:
    source = tmp_path / "published"
    source.write_bytes(b"program")
    digest = hashlib.sha256(b"program" if is_genuine else b"other").hexdigest()
    script = f". {CLUSTER}/lib.sh; . {CLUSTER}/parts.sh; download file://{source} program {digest}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == is_genuine
    assert (tmp_path / "program").exists() == is_genuine
    assert is_genuine or f"does not have the SHA-256 {digest}" in done.stderr


@pytest.mark.parametrize(
    ("file", "pin"),
    [
        ("spark/requirements.txt", f"pyspark=={PINS['SPARK_VERSION']}"),
        ("kafka/jars.sha256", f"kafka_2.13-{PINS['KAFKA_VERSION']}.jar"),
        ("azurite/package.json", f'"azurite":"{PINS["AZURITE_VERSION"]}"'),
    ],
)
def test_lock_has_the_version_of_the_pin(file: str, pin: str) -> None:
    assert pin in (CLUSTER / file).read_text()
