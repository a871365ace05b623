from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from modelyard.contract.build_request import (
    AssetInput,
    BuilderKind,
    BuildRequest,
    Limits,
    ModelInput,
    Source,
)
from modelyard.contract.input_hash import input_hash
from modelyard.contract.scoring_runtime import (
    RUNTIME_REQUIREMENTS,
    runtime_version,
)

BASE = "sha256:" + "b" * 64
DIGEST = "sha256:" + "d" * 64
DRIVER = AssetInput(id="driver", source=Source(content="def run(x): ..."))
HELPER = AssetInput(id="helper", source=Source(url="https://h/helper.py"))
MODEL = ModelInput(name="m", version=1, source=Source(url="https://h/m.pkl?sig=1", digest=DIGEST))
OTHER = ModelInput(name="o", version=4, source=Source(url="oci://r/o:1"))
REQUEST = BuildRequest(
    repository="r/x",
    tag="t",
    base_image="python:3.11",
    driver="driver",
    models=(MODEL,),
    assets=(DRIVER, HELPER),
    pip_requirements="numpy==2\n",
)


def _hash(request: BuildRequest = REQUEST, *, base: str = BASE, runtime: str = "1") -> str:
    return input_hash(request, base, runtime)


def _model(**source: object) -> dict[str, object]:
    return {"models": (MODEL.model_copy(update={"source": MODEL.source.model_copy(update=source)}),)}


def test_it_is_a_tag() -> None:
    assert re.fullmatch("[0-9a-f]{64}", _hash())


@pytest.mark.parametrize(
    "change",
    [
        {"repository": "elsewhere/x"},
        {"tag": "another"},
        {"base_image": "mirror/python:3.11"},
        {"labels": {"a": "b"}},
        {"limits": Limits(download_bytes=1)},
        {"assets": (HELPER, DRIVER)},
        {"pip_requirements": "numpy==2"},
        {"models": (MODEL.model_copy(update={"version": 7}),)},
        _model(url="https://h/m.pkl?sig=renewed"),
        _model(url="https://elsewhere/m.pkl"),
        _model(credentials={"token": "x"}),
        _model(url="https://user:password@h/m.pkl?sig=1"),
    ],
)
def test_what_does_not_determine_the_image(change: dict[str, object]) -> None:
    assert _hash(REQUEST.model_copy(update=change)) == _hash()


@pytest.mark.parametrize(
    "change",
    [
        {"driver": "helper"},
        {"builder": BuilderKind.DOCKER},
        {"registrations": {"m": "again"}},
        {"models": ()},
        {"models": (MODEL, OTHER)},
        {"models": (MODEL.model_copy(update={"name": "n"}),)},
        {"assets": (DRIVER,)},
        {"assets": (DRIVER.model_copy(update={"source": Source(content="def run(x): 1")}), HELPER)},
        {"pip_requirements": "numpy==2.1"},
        {"pip_requirements": None},
        {"pip_requirements": "https://h/requirements.txt"},
        {"conda_env_file": "dependencies: [python]"},
        {"spark": True},
        _model(digest="sha256:" + "e" * 64),
        _model(digest=None),
        _model(url="https://h/renamed.pkl"),
        _model(unpack=True),
    ],
)
def test_what_determines_the_image(change: dict[str, object]) -> None:
    assert _hash(REQUEST.model_copy(update=change)) != _hash()


def test_what_a_conda_environment_adds() -> None:
    one, other = "dependencies: [python]", "dependencies: [python, numpy]"
    files = [
        {"conda_env_file": text, "python_version": python}
        for text in (one, other)
        for python in (None, "3.12")
    ]
    assert len({_hash(REQUEST.model_copy(update=file)) for file in files}) == 4
    assert _hash(REQUEST.model_copy(update={"conda_env_file": " "})) == _hash()


def test_base_and_runtime_determine_the_image() -> None:
    assert len({_hash(), _hash(base=DIGEST), _hash(runtime="2")}) == 3


def test_without_a_digest_the_query_counts() -> None:
    first = REQUEST.model_copy(update=_model(digest=None, url="https://h/m.pkl?version=1"))
    second = REQUEST.model_copy(update=_model(digest=None, url="https://h/m.pkl?version=2"))
    assert _hash(first) != _hash(second)


def test_a_version_counts_among_several_models_and_their_order_does_not() -> None:
    several = REQUEST.model_copy(update={"models": (MODEL, OTHER)})
    newer = REQUEST.model_copy(update={"models": (MODEL.model_copy(update={"version": 2}), OTHER)})
    turned = REQUEST.model_copy(update={"models": (OTHER, MODEL)})
    assert _hash(several) != _hash(newer)
    assert _hash(several) == _hash(turned)


def test_the_same_inputs_keep_their_hash_in_every_process() -> None:
    assert _hash() == "9ed5672b4157dd1bad0c013b321168f45e43f20ca712379e3d9c40f323c6cc92"


def test_runtime_version_follows_the_code_that_goes_into_images(tmp_path: Path) -> None:
    (tmp_path / "scoring").mkdir()
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "scoring/app.py").write_text("1")
    first = runtime_version(tmp_path)
    runtime_version.cache_clear()
    (tmp_path / "settings.py").write_text("not in the image")
    assert runtime_version(tmp_path) == first
    runtime_version.cache_clear()
    (tmp_path / "scoring/app.py").write_text("2")
    assert runtime_version(tmp_path) != first


def test_the_runtimes_pins_are_those_of_the_lock_file() -> None:
    lock = tomllib.loads((Path(__file__).parents[3] / "uv.lock").read_text())
    locked = {package["name"]: package for package in lock["package"]}
    pins = dict(
        line.split("==") for line in RUNTIME_REQUIREMENTS.read_text().splitlines() if not line.startswith("#")
    )
    needed = {name: locked[name]["version"] for name in pins}
    dependencies = {
        dependency["name"]
        for name in pins
        for dependency in locked[name].get("dependencies", [])
        if "win32" not in dependency.get("marker", "")
    }
    assert pins == needed
    assert dependencies <= pins.keys()
