from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from modelyard.builder.docker.dockerfile import dockerfile
from modelyard.builder.layers.base_image import Base
from modelyard.builder.layers.image_documents import (
    image_config,
    image_manifest,
)
from modelyard.builder.layers.layer import Layer
from modelyard.builder.layout import ImageContent
from modelyard.oci.reference import Reference

DIGEST = "sha256:" + "1" * 64
LAYER = Layer(
    "application/vnd.oci.image.layer.v1.tar", "sha256:" + "2" * 64, 7, "sha256:" + "3" * 64, "models"
)
CONTENT = ImageContent((), Path("app"), "driver.py", "/var/azureml-models/m", "numpy")


def _base(config: dict[str, Any] | None = None, **fields: Any) -> Base:
    layers = ({"mediaType": "tar", "digest": DIGEST, "size": 5},)
    rootfs = {"rootfs": {"type": "layers", "diff_ids": [DIGEST]}}
    whole = (
        {"os": "linux", "architecture": "arm64", "variant": "v8", "config": config or {}} | rootfs | fields
    )
    return Base(Reference("r.example", "python", digest=DIGEST), layers, whole)


def _config(base: Base) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(image_config(base, [LAYER], CONTENT.variables, {"l": "1"}).body)
    return document


def _variables(base: Base) -> dict[str, str]:
    return dict(variable.split("=", 1) for variable in _config(base)["config"]["Env"])


def test_it_means_what_the_dockerfile_says() -> None:
    """The words of the Dockerfile's last stage, one by one; packages are found in another way."""
    base = _base({"Env": ["PATH=/bin", "PYTHONPATH=/theirs"], "Entrypoint": ["/entry"]})
    config = _config(base)["config"]
    text = dockerfile("base:1", CONTENT, ca_bundle=False, pip_conf=False).split("FROM base:1\n")[1]
    said: dict[str, list[str]] = {}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        said.setdefault(word, []).append(rest)
    assert said["ENTRYPOINT"] == ["[]"]
    assert "Entrypoint" not in config
    assert config["Cmd"] == json.loads(said["CMD"][0])
    assert config["User"] == said["USER"][0]
    assert config["WorkingDir"] == said["WORKDIR"][0]
    assert config["StopSignal"] == said["STOPSIGNAL"][0]
    assert config["ExposedPorts"] == {f"{said['EXPOSE'][0]}/tcp": {}}
    wanted: dict[str, str] = {}
    for pair in shlex.split(" ".join(said["ENV"])):
        name, value = pair.split("=", 1)
        wanted[name] = value.replace("$PATH", "/bin").replace("${PYTHONPATH:+:$PYTHONPATH}", ":/theirs")
    assert _variables(base) == wanted | {"PYTHONUSERBASE": "/opt/modelyard/environment"}


def test_what_is_taken_over_from_the_base() -> None:
    config = _config(
        _base(
            {
                "Env": ["LANG=C.UTF-8", "PYTHONNOUSERSITE=1"],
                "Labels": {"b": "2", "l": "0"},
                "ExposedPorts": {"80/tcp": {}},
                "Volumes": {"/data": {}},
                "OnBuild": ["RUN x"],
            }
        )
    )
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm64", "v8")
    settings = config["config"]
    assert "LANG=C.UTF-8" in settings["Env"]
    assert "PYTHONNOUSERSITE" not in str(settings["Env"])
    assert settings["Labels"] == {"b": "2", "l": "1"}
    assert settings["ExposedPorts"] == {"80/tcp": {}, "5001/tcp": {}}
    assert settings["Volumes"] == {"/data": {}}
    assert "OnBuild" not in settings


def test_a_base_that_says_nothing() -> None:
    variables = _variables(_base())
    assert variables["PATH"].startswith("/opt/modelyard/environment/bin:/usr/local/sbin:")
    assert variables["PYTHONPATH"] == "/opt/modelyard/runtime"


def test_the_history_has_an_entry_for_each_layer() -> None:
    theirs = [{"created_by": "a"}, {"created_by": "b", "empty_layer": True}]
    for base in (_base(history=theirs), _base(history=theirs[1:]), _base()):
        history = _config(base)["history"]
        assert sum(not entry.get("empty_layer") for entry in history) == 2
    assert _config(_base(history=theirs))["history"][:2] == theirs


def test_equal_content_gives_equal_bytes() -> None:
    one = image_config(_base(), [LAYER], {"a": "1"}, {"x": "1", "y": "2"})
    two = image_config(_base(), [LAYER], {"a": "1"}, {"y": "2", "x": "1"})
    assert one.body == two.body
    assert json.loads(one.body)["created"] == "1980-01-01T00:00:00Z"


def test_the_manifest() -> None:
    config = image_config(_base(), [LAYER], {}, {})
    assert json.loads(image_manifest(_base(), [LAYER], config).body) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config.digest,
            "size": len(config.body),
        },
        "layers": [
            {"mediaType": "tar", "digest": DIGEST, "size": 5},
            {"mediaType": LAYER.media_type, "digest": LAYER.digest, "size": 7},
        ],
        "annotations": {
            "org.opencontainers.image.base.name": "r.example/python",
            "org.opencontainers.image.base.digest": DIGEST,
        },
    }
