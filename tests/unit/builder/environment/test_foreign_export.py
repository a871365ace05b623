"""Environment files of another platform."""

from __future__ import annotations

import pytest

from modelyard.builder.environment.foreign_export import export_hint


@pytest.mark.parametrize(
    ("dependencies", "hint"),
    [
        (["python=3.12", "numpy>=2", "six==1.16", "conda-forge::scipy", "pandas >=2,<3", "vcstools"], None),
        (
            ["python=3.11.5=he1021f5_0", "defaults::ucrt=10.0", "M2w64-gmp=6.1.0", "appnope=0.1.4"],
            "export of Windows or macOS: remove ucrt, M2w64-gmp, appnope, which Linux does not have, and all",
        ),
        (
            ["python=3.11.5=he1021f5_0", "a = 1 = b", "c=1"],
            "2 dependencies have a build (name=version=build)",
        ),
    ],
)
def test_file_of_another_platform_has_a_hint(dependencies: list[str], hint: str | None) -> None:
    found = export_hint(dependencies)
    if hint is None:
        assert found is None
    else:
        assert hint in (found or "")
        assert "`conda env export --from-history`" in (found or "")
