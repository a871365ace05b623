from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from modelyard.builder.docker.dockerfile import dockerfile
from modelyard.builder.layout import ImageContent, PlacedModel
from modelyard.contract.image_layout import LAYOUT_VERSION

CONTENT = ImageContent(
    models=(
        PlacedModel(Path("0"), "/var/azureml-models/a/1"),
        PlacedModel(Path("1"), "/var/azureml-models/b/2"),
    ),
    app=Path("app"),
    entry_script="driver.py",
    model_dir="/var/azureml-models",
    requirements="numpy",
)


def _dockerfile(content: ImageContent = CONTENT, *, ca_bundle: bool = True, pip_conf: bool = True) -> str:
    return dockerfile("base:1", content, ca_bundle=ca_bundle, pip_conf=pip_conf)


def test_content_that_changes_seldom_comes_first() -> None:
    last = _dockerfile().split("FROM base:1\n")[1]
    order = [
        "/opt/modelyard/runtime",
        "/opt/modelyard/environment",
        "runtime/",
        "models/0/",
        "models/1/",
        "app/",
    ]
    copies = [line for line in last.splitlines() if line.startswith("COPY")]
    assert [path in line for path, line in zip(order, copies, strict=True)] == [True] * 6


def test_settings_of_pip_stay_in_the_first_stage() -> None:
    first, last = _dockerfile().split("FROM base:1\n")
    assert "settings/ca.pem" in first
    assert "settings" not in last
    assert "PIP_" not in last


def test_dockerfile_names_only_content_of_the_image() -> None:
    bare = ImageContent(models=(), app=Path("app"), entry_script="d.py", model_dir=None, requirements=None)
    text = _dockerfile(bare, ca_bundle=False, pip_conf=False)
    for absent in (
        "settings",
        "PIP_CERT",
        "PIP_CONFIG_FILE",
        "/opt/modelyard/environment /",
        "models",
        "venv",
    ):
        assert absent not in text


def test_conda_environment_is_copied_and_brings_the_python() -> None:
    text = dockerfile("base:1", CONTENT, ca_bundle=False, pip_conf=False, conda_python="3.12.4")
    python = "/opt/modelyard/environment/bin/python3"
    assert text.index('COPY ["environment/", "/opt/modelyard/environment"]') < text.index(python)
    assert "--target /opt/modelyard/runtime --python-version 3.12.4 " in text
    assert f"RUN python3 -m pip --python {python} install --no-compile --requirement requirements.txt" in text
    assert f"{python} -m compileall" in text
    assert "python3 -m venv" not in text
    assert 'COPY --from=environment ["/opt/modelyard/environment", "/opt/modelyard/environment"]' in text


def test_conda_environment_without_requirements_runs_no_pip_install_of_them() -> None:
    content = replace(CONTENT, requirements=None)
    text = dockerfile("base:1", content, ca_bundle=False, pip_conf=False, conda_python="3.12.4")
    assert "requirements.txt" not in text.replace("runtime-requirements.txt", "")
    assert 'COPY --from=environment ["/opt/modelyard/environment", "/opt/modelyard/environment"]' in text


def test_names_of_models_and_drivers_are_escaped() -> None:
    content = ImageContent(
        models=(PlacedModel(Path("0"), """/var/azureml-models/it's $HOME "x" \\n"""),),
        app=Path("app"),
        entry_script='a "b" $c.py',
        model_dir=None,
        requirements=None,
    )
    text = _dockerfile(content)
    assert r"""/var/azureml-models/it\\'s \\$HOME \\\"x\\\" \\\\n/""" in text
    assert r'AZUREML_ENTRY_SCRIPT="a \"b\" \$c.py"' in text


def test_changed_dockerfile_needs_another_layout_version() -> None:
    """An image of an older Dockerfile must not be reused: raise LAYOUT_VERSION and update the digest here."""
    assert (LAYOUT_VERSION, hashlib.sha256(_dockerfile().encode()).hexdigest()[:16]) == (
        3,
        "2164bf6b20f9f737",
    )
