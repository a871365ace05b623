"""Versions that uv's resolver leaves. A new version of uv may change its log: then these tests fail."""

from __future__ import annotations

from tests.unit.builder.environment.conftest import Installer
from tests.unit.builder.environment.index import Index

from modelyard.builder.environment.resolved_versions import ResolvedVersions


def _old_package(index: Index) -> None:
    index.wheel("my-old-pack", "1.0")
    index.wheel("my-old-pack", "2.0", requires=["compiled"])
    index.sdist("compiled")


def test_older_version_of_a_required_package_is_logged(index: Index, installer: Installer) -> None:
    _old_package(index)
    installer("My.Old_pack[x] >= 0.5  # comment")
    log = installer.out.getvalue()
    assert (
        "my-old-pack 1.0 is installed, not 2.0: newer versions need a package without a wheel, or"
        " contradict another requirement. Require my-old-pack==2.0 to see the reason\n" in log
    )
    assert "DEBUG" not in log


def test_version_within_the_requirement_is_not_logged(index: Index, installer: Installer) -> None:
    _old_package(index)
    installer("my-old-pack<2")
    assert "is installed, not" not in installer.out.getvalue()


def test_older_version_of_another_package_is_not_logged(index: Index, installer: Installer) -> None:
    _old_package(index)
    index.wheel("top", requires=["my-old-pack"])
    installer("top")
    assert " + my-old-pack==1.0" in installer.out.getvalue()
    assert "is installed, not" not in installer.out.getvalue()


def test_lines_of_a_warning_are_not_for_the_log() -> None:
    versions = ResolvedVersions("a")
    lines = ["WARN `a==1` has invalid metadata", "a (==1.*)", "  ^^^", "Resolved 1 package", " + a==1", "x"]
    assert [versions.read(line) for line in lines] == [True, True, True, False, False, False]
