"""The names that the operator and the build Job share are written once."""

from __future__ import annotations

import re
from pathlib import Path

import modelyard
from modelyard.contract import build_pod
from modelyard.contract.build_pod import RUN_AS_USER, BuildVariable

PACKAGE = Path(modelyard.__file__).parent
CONTRACT = Path(build_pod.__file__)


def test_variables_of_the_build_pod_are_spelled_in_the_contract_only() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if path != CONTRACT]
    assert len(modules) > 200
    words = {path: set(re.findall(r"MODELYARD_\w+", path.read_text())) for path in modules}
    spelled = {str(path.relative_to(PACKAGE)): found & set(BuildVariable) for path, found in words.items()}
    assert {path: found for path, found in spelled.items() if found} == {}


def test_user_of_the_build_pod_is_the_user_of_the_operators_image() -> None:
    dockerfile = (PACKAGE.parent / "Dockerfile").read_text()
    assert f"\nUSER {RUN_AS_USER}:{RUN_AS_USER}\n" in dockerfile
