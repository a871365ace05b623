"""The source of a package in a git repository as an archive, without the program git."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urljoin, urlsplit

import urllib3
from dulwich.client import FetchPackResult, HttpGitClient
from dulwich.config import ConfigFile, StackedConfig
from dulwich.errors import GitProtocolError, NotGitRepository
from dulwich.object_store import iter_tree_contents, tree_lookup_path
from dulwich.objects import Blob, Commit, ObjectID, Tag, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo

from modelyard.builder.environment.git_source import GitSource, is_commit
from modelyard.contract.errors import PackageIndexUnavailableError, RequirementsInvalidError
from modelyard.redaction import redact_text

_ROOT: Final = "source"
_GITLINK: Final = 0o160000
_MODULES: Final = b".gitmodules"
_MOST_NESTED: Final = 5
"""Most levels of submodules in submodules."""
_ARCHIVAL: Final = ".git_archival.txt"
_TIMEOUT_SECONDS: Final = 300.0
_PREFIXES: Final = (b"refs/tags/", b"refs/heads/", b"refs/", b"")


def check_out(git: GitSource, folder: Path, proxy: str, ca_file: Path | None) -> str:
    """Write the source into `folder`, which is new, as source.tar.gz. Return the hash of the commit.

    Equal commits make equal archives. Submodules are part of it. Raises RequirementsInvalidError and
    PackageIndexUnavailableError.
    """
    folder.mkdir()
    checkout = _Checkout(folder, proxy, ca_file)
    with gzip.GzipFile(folder / "source.tar.gz", "wb", mtime=0) as compressed:  # noqa: SIM117
        with tarfile.open(fileobj=compressed, mode="w|") as archive:
            return checkout.write(git, archive, _ROOT, 0)


class _Checkout:
    def __init__(self, folder: Path, proxy: str, ca_file: Path | None) -> None:
        self._folder = folder
        self._repositories = 0
        options: dict[str, Any] = {"timeout": urllib3.Timeout(_TIMEOUT_SECONDS)}
        if ca_file:
            options["ca_certs"] = str(ca_file)
        self._pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)

    def write(self, git: GitSource, archive: tarfile.TarFile, root: str, level: int) -> str:
        """Add the files of a repository to an archive below `root`, and return the hash of its commit."""
        if level > _MOST_NESTED:
            raise RequirementsInvalidError(
                f"{redact_text(git.url)} has more than {_MOST_NESTED} levels of submodules"
            )
        self._repositories += 1
        path = self._folder / f"repository-{self._repositories}"
        path.mkdir()
        with Repo.init_bare(path, config=StackedConfig([])) as repository:
            commit, tag = self._fetch(git, repository)
            tree = repository[commit.tree]
            if git.subdirectory:
                tree = _subdirectory(repository, commit.tree, git)
            modules = dict(_modules(repository, commit.tree))
            for entry in iter_tree_contents(repository.object_store, tree.id):
                name = entry.path.decode(errors="surrogateescape")
                if level == 0 and name == _ARCHIVAL:
                    continue  # its placeholders are for `git archive`
                if entry.mode == _GITLINK:
                    self._write_module(
                        git, modules.get(name), entry.sha.decode(), archive, f"{root}/{name}", level
                    )
                else:
                    _add(archive, f"{root}/{name}", entry.mode, repository[entry.sha])
            if level == 0:
                # setuptools_scm reads the version of the package from it: no history is in the archive.
                describe = f"describe-name: {tag}\n" if tag else ""
                content = Blob.from_string(f"node: {commit.id.decode()}\n{describe}".encode())
                _add(archive, f"{root}/{_ARCHIVAL}", 0o100644, content)
            return commit.id.decode()

    def _write_module(
        self, parent: GitSource, url: str | None, commit: str, archive: tarfile.TarFile, root: str, level: int
    ) -> None:
        if url is None:
            return  # git leaves such a folder empty, too
        absolute = urljoin(f"{parent.url.rstrip('/')}/", url)
        if urlsplit(absolute).scheme not in {"http", "https"}:
            raise RequirementsInvalidError(
                f"{redact_text(parent.url)} has a submodule out of reach: {redact_text(absolute)}"
            )
        self.write(GitSource(url=absolute, revision=commit), archive, root, level + 1)

    def _fetch(self, git: GitSource, repository: Repo) -> tuple[Commit, str | None]:
        """Fetch the revision. Return its commit, and the name of the tag if it is one."""
        if is_commit(git.revision):
            try:
                self._fetch_refs(git, repository, {(git.revision or "").encode()}, depth=1)
            except PackageIndexUnavailableError:
                # A server may refuse a commit that is no tip. Then all branches have to be fetched.
                self._fetch_refs(git, repository, None, depth=None)
            return _commit(repository, (git.revision or "").encode(), git), None
        refs = self._fetch_refs(git, repository, set(), depth=None)
        found = _find(refs, git.revision)
        if found is None:
            self._fetch_refs(git, repository, None, depth=None)
            return _commit(repository, _abbreviated(repository, git), git), None
        name, identifier = found
        self._fetch_refs(git, repository, {identifier}, depth=1)
        tag = git.revision if name.startswith(b"refs/tags/") else None
        return _commit(repository, identifier, git), tag

    def _fetch_refs(
        self, git: GitSource, repository: Repo, wanted: set[bytes] | None, *, depth: int | None
    ) -> Mapping[bytes, bytes]:
        """Fetch objects, None for all branches and tags, and return the references of the server."""
        parts = urlsplit(git.url)
        base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
        client = HttpGitClient(
            base,
            pool_manager=self._pool,
            config=ConfigFile(),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            quiet=True,
        )

        def wants(refs: Mapping[Ref, ObjectID | None], depth: int | None = None) -> list[ObjectID]:
            chosen = set(refs.values()) if wanted is None else wanted
            return [
                ObjectID(item) for item in chosen if item and ObjectID(item) not in repository.object_store
            ]

        try:
            result: FetchPackResult = client.fetch(parts.path, repository, determine_wants=wants, depth=depth)
        except NotGitRepository:
            raise RequirementsInvalidError(
                f"{redact_text(git.url)} is no git repository, or not a public one"
            ) from None
        except (OSError, urllib3.exceptions.HTTPError, GitProtocolError) as error:
            raise PackageIndexUnavailableError(
                f"{redact_text(git.url)} does not answer: {redact_text(str(error))}"
            ) from None
        return {name: value for name, value in result.refs.items() if value is not None}


def _find(refs: Mapping[bytes, bytes], revision: str | None) -> tuple[bytes, bytes] | None:
    """Return the reference of a revision with the hash of its object, None without one."""
    if revision is None:
        return (b"HEAD", refs[b"HEAD"]) if b"HEAD" in refs else None
    names = [prefix + revision.encode() for prefix in _PREFIXES]
    return next(((name, refs[name]) for name in names if name in refs), None)


def _abbreviated(repository: Repo, git: GitSource) -> bytes:
    """Return the hash of a commit that begins with the revision."""
    prefix = (git.revision or "HEAD").encode()
    try:
        found = [
            item
            for item in repository.object_store.iter_prefix(prefix)
            if isinstance(repository[item], Commit)
        ]
    except ValueError:
        found = []
    if len(found) != 1:
        raise _unknown(git)
    return found[0]


def _commit(repository: Repo, identifier: bytes, git: GitSource) -> Commit:
    try:
        found = repository[identifier]
        while isinstance(found, Tag):
            found = repository[found.object[1]]
    except KeyError:
        raise _unknown(git) from None
    if not isinstance(found, Commit):
        raise _unknown(git)
    return found


def _subdirectory(repository: Repo, tree: bytes, git: GitSource) -> Tree:
    try:
        _, identifier = tree_lookup_path(
            repository.__getitem__, ObjectID(tree), (git.subdirectory or "").encode()
        )
        found = repository[identifier]
    except KeyError:
        found = None
    if not isinstance(found, Tree):
        raise RequirementsInvalidError(f"{redact_text(git.url)} has no folder {git.subdirectory}")
    return found


def _modules(repository: Repo, tree: bytes) -> Iterator[tuple[str, str]]:
    """Yield the path and the URL of each submodule."""
    try:
        _, identifier = tree_lookup_path(repository.__getitem__, ObjectID(tree), _MODULES)
    except KeyError:
        return
    config = ConfigFile.from_file(io.BytesIO(repository[identifier].as_raw_string()))
    for section in config.sections():
        if section[0] == b"submodule" and config.has_section(section):
            values = dict(config.items(section))
            if b"path" in values and b"url" in values:
                yield values[b"path"].decode(), values[b"url"].decode()


def _unknown(git: GitSource) -> RequirementsInvalidError:
    return RequirementsInvalidError(
        f"{redact_text(git.url)} has no branch, tag or commit {git.revision or 'HEAD'}: correct the line"
    )


def _add(archive: tarfile.TarFile, name: str, mode: int, blob: object) -> None:
    """Add a file or a symbolic link without a time and an owner."""
    if not isinstance(blob, Blob):
        return
    content = blob.as_raw_string()
    entry = tarfile.TarInfo(name)
    if stat.S_ISLNK(mode):
        entry.type, entry.linkname = tarfile.SYMTYPE, content.decode(errors="surrogateescape")
        archive.addfile(entry)
        return
    entry.mode, entry.size = (0o755 if mode & 0o100 else 0o644), len(content)
    archive.addfile(entry, io.BytesIO(content))
