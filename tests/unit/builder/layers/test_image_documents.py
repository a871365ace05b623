"""The manifest and the config of an image."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from modelyard.builder.docker.dockerfile import dockerfile
from modelyard.builder.layers.base_image import BaseImage
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


def _base(config: dict[str, Any] | None = None, **fields: Any) -> BaseImage:
    layers = ({"mediaType": "tar", "digest": DIGEST, "size": 5},)
    rootfs = {"rootfs": {"type": "layers", "diff_ids": [DIGEST]}}
    whole = (
        {"os": "linux", "architecture": "arm64", "variant": "v8", "config": config or {}} | rootfs | fields
    )
    return BaseImage(Reference("r.example", "python", digest=DIGEST), layers, whole)


def _config(base: BaseImage) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(image_config(base, [LAYER], CONTENT.variables, {"l": "1"}).body)
    return document


def _variables(base: BaseImage) -> dict[str, str]:
    return dict(variable.split("=", 1) for variable in _config(base)["config"]["Env"])


def test_config_has_the_effect_of_the_dockerfile() -> None:
    """Each instruction of the Dockerfile's last stage has a field. Only the path of packages differs."""
    base = _base({"Env": ["PATH=/bin", "PYTHONPATH=/of-base"], "Entrypoint": ["/entry"]})
    config = _config(base)["config"]
    text = dockerfile("base:1", CONTENT, ca_bundle=False, pip_conf=False).split("FROM base:1\n")[1]
    instructions: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, arguments = line.partition(" ")
        instructions.setdefault(name, []).append(arguments)
    assert instructions["ENTRYPOINT"] == ["[]"]
    assert "Entrypoint" not in config
    assert config["Cmd"] == json.loads(instructions["CMD"][0])
    assert config["User"] == instructions["USER"][0]
    assert config["WorkingDir"] == instructions["WORKDIR"][0]
    assert config["StopSignal"] == instructions["STOPSIGNAL"][0]
    assert config["ExposedPorts"] == {f"{instructions['EXPOSE'][0]}/tcp": {}}
    variables: dict[str, str] = {}
    for pair in shlex.split(" ".join(instructions["ENV"])):
        name, value = pair.split("=", 1)
        variables[name] = value.replace("$PATH", "/bin").replace("${PYTHONPATH:+:$PYTHONPATH}", ":/of-base")
    assert _variables(base) == variables | {"PYTHONUSERBASE": "/opt/modelyard/environment"}


def test_config_inherits_fields_of_the_base_image() -> None:
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


def test_path_and_python_path_have_defaults_without_those_of_a_base_image() -> None:
    variables = _variables(_base())
    assert variables["PATH"].startswith("/opt/modelyard/environment/bin:/usr/local/sbin:")
    assert variables["PYTHONPATH"] == "/opt/modelyard/runtime"


def test_history_has_an_entry_for_each_layer() -> None:
    base_history = [{"created_by": "a"}, {"created_by": "b", "empty_layer": True}]
    for base in (_base(history=base_history), _base(history=base_history[1:]), _base()):
        history = _config(base)["history"]
        assert sum(not entry.get("empty_layer") for entry in history) == 2
    assert _config(_base(history=base_history))["history"][:2] == base_history


def test_equal_content_gives_equal_bytes() -> None:
    one = image_config(_base(), [LAYER], {"a": "1"}, {"x": "1", "y": "2"})
    two = image_config(_base(), [LAYER], {"a": "1"}, {"y": "2", "x": "1"})
    assert one.body == two.body
    assert json.loads(one.body)["created"] == "1980-01-01T00:00:00Z"


def test_manifest_lists_layers_and_names_the_base_image() -> None:
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
