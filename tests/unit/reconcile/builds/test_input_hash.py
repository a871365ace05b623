"""The hash of the inputs of an image."""

from __future__ import annotations

import re

import pytest

from modelyard.contract.build_request import (
    AssetInput,
    BuilderKind,
    BuildRequest,
    Limits,
    ModelInput,
    Source,
)
from modelyard.reconcile.builds.input_hash import input_hash

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


def test_input_hash_fits_into_a_tag() -> None:
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
def test_input_hash_ignores_inputs_that_do_not_change_the_image(change: dict[str, object]) -> None:
    assert _hash(REQUEST.model_copy(update=change)) == _hash()


@pytest.mark.parametrize(
    "change",
    [
        {"driver": "helper"},
        {"conda_env_file": "a", "cuda_version": "12.4"},
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
        {"platforms": ("linux/arm64",)},
        _model(digest="sha256:" + "e" * 64),
        _model(digest=None),
        _model(url="https://h/renamed.pkl"),
        _model(unpack=True),
    ],
)
def test_input_hash_changes_with_each_input_of_the_image(change: dict[str, object]) -> None:
    assert _hash(REQUEST.model_copy(update=change)) != _hash()


def test_order_of_platforms_does_not_change_the_input_hash() -> None:
    both = ("linux/amd64", "linux/arm64")
    hashes = {_hash(REQUEST.model_copy(update={"platforms": item})) for item in (both, both[::-1])}
    assert len(hashes) == 1
    assert _hash(REQUEST.model_copy(update={"platforms": both[:1]})) not in hashes


@pytest.mark.parametrize(
    ("asset", "changes"),
    [
        (AssetInput(id="util", source=Source(content="")), True),
        (AssetInput(id="util", source=Source(url="https://h/a/util?x=y.z")), True),
        (AssetInput(id="util.py", source=Source(content="")), False),
        (AssetInput(id="util", source=Source(url="https://h/util.py")), False),
        (AssetInput(id="util", source=Source(url="https://h/util", unpack=True)), False),
        (DRIVER, False),
    ],
)
def test_media_type_counts_where_it_changes_the_name(asset: AssetInput, changes: bool) -> None:
    module = asset.model_copy(update={"mime_type": "text/x-python; charset=utf-8"})
    others = () if asset is DRIVER else (DRIVER,)
    hashes = {_hash(REQUEST.model_copy(update={"assets": (*others, item)})) for item in (asset, module)}
    assert (len(hashes) == 2) is changes


def test_input_hash_changes_with_conda_file_and_python_version() -> None:
    one, other = "dependencies: [python]", "dependencies: [python, numpy]"
    files = [
        {"conda_env_file": text, "python_version": python}
        for text in (one, other)
        for python in (None, "3.12")
    ]
    assert len({_hash(REQUEST.model_copy(update=file)) for file in files}) == 4
    assert _hash(REQUEST.model_copy(update={"conda_env_file": " "})) == _hash()


def test_input_hash_changes_with_base_image_and_runtime() -> None:
    assert len({_hash(), _hash(base=DIGEST), _hash(runtime="2")}) == 3


def test_query_of_a_url_without_digest_changes_the_hash() -> None:
    first = REQUEST.model_copy(update=_model(digest=None, url="https://h/m.pkl?version=1"))
    second = REQUEST.model_copy(update=_model(digest=None, url="https://h/m.pkl?version=2"))
    assert _hash(first) != _hash(second)


def test_version_of_one_of_several_models_changes_the_hash_and_order_does_not() -> None:
    several = REQUEST.model_copy(update={"models": (MODEL, OTHER)})
    newer = REQUEST.model_copy(update={"models": (MODEL.model_copy(update={"version": 2}), OTHER)})
    reversed_order = REQUEST.model_copy(update={"models": (OTHER, MODEL)})
    assert _hash(several) != _hash(newer)
    assert _hash(several) == _hash(reversed_order)


def test_input_hash_is_the_same_in_every_process() -> None:
    assert _hash() == "4516d0927d1430b6219adc561a3a1dc69a71cd8ce21f7a447d3653c25f3f5ca7"
