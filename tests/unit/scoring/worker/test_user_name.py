"""The name of a user id without an entry in /etc/passwd."""

import os
import pwd
from pathlib import Path

import pytest

from modelyard.scoring.worker import user_name
from modelyard.scoring.worker.user_name import user_variables

UNKNOWN = 3_999_999_990
"""A user id that no system has."""


@pytest.mark.parametrize(
    ("environment", "name"),
    [({}, "modelyard"), ({"USER": "ann"}, "ann"), ({"USER": "ann", "LOGNAME": "bob"}, "bob")],
)
def test_unknown_user_has_the_name_of_the_environment(environment: dict[str, str], name: str) -> None:
    variables = user_variables(environment, UNKNOWN)

    assert (variables["USER"], variables["LOGNAME"]) == (name, name)


def test_home_of_an_unknown_user_is_writable(tmp_path: Path) -> None:
    assert user_variables({"HOME": str(tmp_path)}, UNKNOWN)["HOME"] == str(tmp_path)
    assert user_variables({"HOME": "/proc/none"}, UNKNOWN)["HOME"] == "/tmp"
    assert user_variables({"TMPDIR": "/scratch"}, UNKNOWN)["HOME"] == "/scratch"


def test_known_user_keeps_its_variables() -> None:
    assert user_variables({"HOME": "/proc/none"}, os.getuid()) == {}


def test_module_pwd_has_an_unknown_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for function in ("getpwuid", "getpwnam", "getpwall"):
        monkeypatch.setattr(pwd, function, getattr(pwd, function))
    root = pwd.getpwuid(0)
    monkeypatch.setattr(os, "getuid", lambda: UNKNOWN)
    monkeypatch.setenv("LOGNAME", "ann")

    user_name.install()
    user_name.install()

    entry = pwd.getpwuid(UNKNOWN)
    assert (entry.pw_name, entry.pw_uid, entry.pw_gid) == ("ann", UNKNOWN, os.getgid())
    assert pwd.getpwnam("ann") == entry
    assert pwd.getpwall().count(entry) == 1
    assert pwd.getpwuid(0) == root
    assert pwd.getpwnam(root.pw_name) == root
    with pytest.raises(KeyError):
        pwd.getpwuid(UNKNOWN - 1)
