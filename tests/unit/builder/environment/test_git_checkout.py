"""Archives of repositories in git."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest
from tests.support.git_server import GitServer

from modelyard.builder.environment.git_checkout import check_out
from modelyard.builder.environment.git_source import GitSource
from modelyard.contract.errors import PackageIndexUnavailableError, RequirementsInvalidError


def _files(folder: Path) -> dict[str, str]:
    with tarfile.open(folder / "source.tar.gz") as archive:
        return {
            entry.name: (archive.extractfile(entry) or pytest.fail(entry.name)).read().decode()
            for entry in archive
            if entry.isfile()
        }


def test_revisions_lead_to_their_commit(git_server: GitServer, tmp_path: Path) -> None:
    first = git_server.commit({"a.py": "1"}, "first")
    _git(tmp_path, "tag", "v1")
    _git(tmp_path, "push", "--quiet", "origin", "v1")
    second = git_server.commit({"a.py": "2", "sub/b.py": "3"}, "second")
    git_server.push()
    revisions = {None: second, "main": second, "v1": first, first: first, first[:9]: first}
    archives = {}
    for number, (revision, commit) in enumerate(revisions.items()):
        folder = tmp_path / str(number)
        assert check_out(GitSource(url=git_server.url, revision=revision), folder, "", None) == commit
        archives[revision] = (folder / "source.tar.gz").read_bytes()
    assert archives[None] == archives["main"]
    assert _files(tmp_path / "2") == {
        "source/a.py": "1",
        "source/.git_archival.txt": f"node: {first}\ndescribe-name: v1\n",
    }


def test_subdirectory_is_the_root_of_the_archive(git_server: GitServer, tmp_path: Path) -> None:
    git_server.commit({"a.py": "1", "sub/b.py": "2"}, "first")
    git_server.push()
    check_out(GitSource(url=git_server.url, subdirectory="sub"), tmp_path / "out", "", None)
    assert _files(tmp_path / "out").keys() == {"source/b.py", "source/.git_archival.txt"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"revision": "nope"}, "no branch, tag or commit nope"), ({"subdirectory": "nope"}, "no folder nope")],
)
def test_unknown_revision_or_folder_is_named(
    git_server: GitServer, tmp_path: Path, fields: dict[str, str], message: str
) -> None:
    git_server.commit({"a.py": "1"}, "first")
    git_server.push()
    with pytest.raises(RequirementsInvalidError, match=message):
        check_out(GitSource(url=git_server.url, **fields), tmp_path / "out", "", None)


def test_server_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    git = GitSource(url="http://me:s3cret@127.0.0.1:1/a")
    with pytest.raises(PackageIndexUnavailableError, match="does not answer") as caught:
        check_out(git, tmp_path / "out", "", None)
    assert "s3cret" not in str(caught.value)


def test_submodule_is_part_of_the_archive(git_server: GitServer, tmp_path: Path) -> None:
    modules = f'[submodule "m"]\n\tpath = m\n\turl = {git_server.url}\n'
    commit = git_server.commit({"a.py": "1", ".gitmodules": modules}, "first")
    _git(tmp_path, "update-index", "--add", "--cacheinfo", f"160000,{commit},m")
    _git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message=m")
    git_server.push()
    check_out(GitSource(url=git_server.url), tmp_path / "out", "", None)
    assert _files(tmp_path / "out")["source/m/a.py"] == "1"


def _git(folder: Path, *arguments: str) -> None:
    """Run git in the work tree of the server's repository."""
    subprocess.run(["git", *arguments], cwd=folder / "git/work", check=True)
