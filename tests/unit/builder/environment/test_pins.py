"""Environments whose lines name the version of each package."""

from __future__ import annotations

import pytest

from modelyard.builder.environment.packages import Package
from modelyard.builder.environment.pins import Pins

HASH = "0" * 64
NUMPY = Package("numpy", "2.3.1")
CONDA_NUMPY = Package("numpy", "2.3.1", ecosystem="conda")


@pytest.mark.parametrize(
    "line",
    [
        "numpy==2.3.1",
        "NumPy === 2.3.1",
        "numpy==2.3.1,>=2 ; python_version >= '3.9'",
        f"numpy==2.3.1 --hash=sha256:{HASH} --hash=sha256:{HASH}",
        f"numpy==2.3.1 \\\n    --hash=sha256:{HASH}  # a comment",
        f"https://h/numpy-2.3.1-cp311-cp311-linux.whl#sha256={HASH}",
        f"numpy @ https://h/numpy-2.3.1-cp311-cp311-linux.whl#sha256={HASH}",
        "--index-url https://h/simple\nnumpy==2.3.1",
    ],
)
def test_line_with_a_version_covers_its_package(line: str) -> None:
    assert Pins(line).cover([NUMPY])
    assert not Pins(line).cover([NUMPY, Package("scipy", "1.16.0")])
    assert not Pins(line).cover([CONDA_NUMPY])


@pytest.mark.parametrize(
    "line",
    [
        "", "numpy", "numpy>=2.3.1", "numpy==2.*", "numpy==2.3.0", "numpy~=2.3.1", "-r file", "numpy==",
        "https://h/numpy-2.3.1-cp311-cp311-linux.whl",
        "https://h/numpy-2.3.1-cp311-cp311-linux.whl#md5=0",
        "numpy @ https://h/numpy-2.3.1-cp311-cp311-linux.whl",
    ],
)  # fmt: skip
def test_other_lines_cover_no_package(line: str) -> None:
    assert not Pins(line).cover([NUMPY])


def test_names_are_compared_in_their_normal_form() -> None:
    assert Pins("scikit_learn==1").cover([Package("scikit-learn", "1")])


@pytest.mark.parametrize("spec", ["numpy=2.3.1", "numpy==2.3.1", "conda-forge::numpy=2.3.1=py311_0"])
def test_conda_specification_with_a_version_covers_its_package(spec: str) -> None:
    assert Pins(conda=(spec,)).cover([CONDA_NUMPY])
    assert not Pins(conda=(spec,)).cover([NUMPY])


@pytest.mark.parametrize("spec", ["numpy", "numpy=2.3", "numpy>=2.3.1", "numpy=2.3.*", "numpy 2.3.1|2.3.2"])
def test_other_conda_specifications_cover_no_package(spec: str) -> None:
    assert not Pins(conda=(spec,)).cover([CONDA_NUMPY])
