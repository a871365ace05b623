"""`modelyard push`: a model file in a fake, and clear errors for other arguments."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from tests.unit.oci.fake_registry import FakeRegistry, digest_of

from modelyard.cli.main import main


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    file = tmp_path / "model.joblib"
    file.write_bytes(b"weights")
    return file


def test_pushed_file_is_an_artifact_with_the_title_of_the_file(
    fake: FakeRegistry, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", str(model), f"{fake.address}/models/diabetes:1"]) == 0
    digest = digest_of(b"weights")
    manifest = json.loads(fake.manifests["models/diabetes", "1"])
    (layer,) = manifest["layers"]
    assert (layer["digest"], layer["size"]) == (digest, 7)
    assert layer["annotations"] == {"org.opencontainers.image.title": "model.joblib"}
    assert fake.blobs["models/diabetes", digest] == b"weights"
    assert fake.blobs["models/diabetes", manifest["config"]["digest"]] == b"{}"
    assert capsys.readouterr().out == f"url: oci://{fake.address}/models/diabetes:1\ndigest: {digest}\n"


def test_login_of_docker_is_sent(fake: FakeRegistry, model: Path) -> None:
    entry = {fake.address: {"username": "ana", "password": "canary"}}
    (model.parent / "config.json").write_text(json.dumps({"auths": entry}))
    fake.refuse = lambda call: (
        None
        if "authorization" in {name.lower() for name in call.headers}
        else (401, {"WWW-Authenticate": "Basic"})
    )
    assert main(["push", str(model), f"{fake.address}/models/diabetes:1"]) == 0


def test_password_from_standard_input_is_sent(
    fake: FakeRegistry,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake.refuse = lambda call: (
        None
        if "authorization" in {name.lower() for name in call.headers}
        else (401, {"WWW-Authenticate": "Basic"})
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("canary\n"))
    name = f"{fake.address}/models/diabetes:1"
    assert main(["push", str(model), name, "--username", "ana", "--password-stdin"]) == 0
    assert "canary" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("registry.example.com/models/diabetes", [], "add a tag, one for each version of the model"),
        ("registry.example.com/Models:1", [], "is not the name of an image"),
        ("registry.example.com/models/d:1", ["--username", "ana"], "--username and --password-stdin belong"),
        ("registry.example.com/models/d:1", ["--password-stdin"], "--username and --password-stdin belong"),
    ],
)
def test_bad_argument_is_named(
    model: Path, name: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", str(model), name, *options]) == 2
    assert message in capsys.readouterr().err


def test_folder_is_refused_with_the_way_out(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", str(model.parent), "registry.example.com/models/d:1"]) == 2
    assert "push a zip or tar of it" in capsys.readouterr().err


def test_missing_file_is_named(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", f"{model}.old", "registry.example.com/models/d:1"]) == 2
    assert capsys.readouterr().err == f"modelyard push: the file {model}.old does not exist\n"


def test_refusal_of_registry_ends_with_its_message(
    fake: FakeRegistry, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.refuse = lambda _: (403, {})
    assert main(["push", str(model), f"{fake.address}/models/diabetes:1"]) == 1
    assert fake.address in capsys.readouterr().err
