"""Fetches and unpacks what a request asks for, and lays it out on the disk as it will be in the image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from modelyard.builder.disk import disk_errors
from modelyard.builder.environment.conda_file import (
    CondaFile,
    read_conda_file,
)
from modelyard.builder.layout import ImageContent, PlacedModel, driver_file, driver_of, model_dir, model_paths
from modelyard.builder.log import BuildLog
from modelyard.builder.sources import (
    FetchContext,
    FetchedFile,
    fetch,
)
from modelyard.builder.unpack import unpack
from modelyard.contract.build_request import (
    CONDA_ENV_FILE,
    PIP_REQUIREMENTS,
    BuildRequest,
    Limits,
    ModelInput,
    Source,
    Step,
)
from modelyard.contract.errors import (
    AssetConflictError,
    SourceInvalidError,
    about,
)
from modelyard.contract.urls import (
    clean_file_name,
    requirements_url,
)
from modelyard.redaction import redact

_TEXT_BYTES: Final = 1024 * 1024


def assemble(
    request: BuildRequest,
    workspace: Path,
    context: FetchContext,
    log: BuildLog,
    *,
    models: Sequence[ModelInput] | None = None,
) -> ImageContent:
    """Everything of an image but its base and its environment, below an empty workspace.

    `models` are those that have to be on the disk, all by default. Raises BuildFailedError and its kinds,
    with the model or asset that it is about.
    """
    driver = driver_of(request)
    paths = model_paths(request)
    wanted = request.models if models is None else models
    supply = _Supply(request.limits, workspace, context, log)
    log.enter(Step.FETCH)
    fetched_models = [supply.fetch(model.subject, model.source, model.name) for model in wanted]
    assets = [supply.fetch(asset.subject, asset.source, asset.id) for asset in request.assets]
    requirements = supply.text(PIP_REQUIREMENTS, request.pip_requirements)
    conda_file = supply.text(CONDA_ENV_FILE, request.conda_env_file)
    conda = _conda(conda_file) if conda_file else None
    log.enter(Step.UNPACK)
    app = _Folder(workspace / "app")
    entry_script = ""
    for asset, fetched in zip(request.assets, assets, strict=True):
        files = supply.unpack(asset.subject, asset.source, fetched)
        if asset is driver:
            entry_script = driver_file(fetched.name)
            files = files.rename(files.with_name(entry_script))
        app.take(asset.id, files, is_folder=asset.source.unpack)
    placed = []
    for model, fetched in zip(wanted, fetched_models, strict=True):
        files = supply.unpack(model.subject, model.source, fetched)
        placed.append(PlacedModel(files if model.source.unpack else files.parent, paths[model.subject]))
    return ImageContent(
        models=tuple(sorted(placed, key=lambda model: model.path)),
        app=app.path,
        entry_script=entry_script,
        model_dir=model_dir(request),
        requirements="\n".join([*(conda.pip if conda else ()), *([requirements] if requirements else ())])
        or None,
        conda=conda,
        spark=request.spark,
        digests=supply.digests,
    )


def _conda(text: str) -> CondaFile:
    with about(CONDA_ENV_FILE):
        return read_conda_file(text)


class _Supply:
    """Fetches and unpacks within what is left of a build's limits."""

    def __init__(self, limits: Limits, workspace: Path, context: FetchContext, log: BuildLog) -> None:
        self._download_bytes = limits.download_bytes
        self._unpacked_bytes = limits.unpacked_bytes
        self._unpacked_files = limits.unpacked_files
        self._workspace = workspace
        self._context = context
        self._log = log
        self._count = 0
        self.digests: dict[str, str] = {}

    def fetch(self, subject: str, source: Source, name: str) -> FetchedFile:
        """One file, or a folder of an artifact, in a folder of its own."""
        self._log.write(f"{subject}: {redact(source.url) if source.url else 'inline content'}")
        with about(subject):
            fetched = fetch(
                source,
                self._new_folder(),
                name=clean_file_name(name) or "file",
                limit_bytes=self._download_bytes,
                context=self._context,
            )
        self._download_bytes -= fetched.size
        self.digests[subject] = fetched.digest
        return fetched

    def unpack(self, subject: str, source: Source, fetched: FetchedFile) -> Path:
        """The file as it is, or the folder with what was in it."""
        if not source.unpack or fetched.path.is_dir():
            return fetched.path
        folder = self._new_folder() / "content"
        with about(subject):
            unpacked = unpack(
                fetched.path, folder, limit_bytes=self._unpacked_bytes, limit_files=self._unpacked_files
            )
        self._unpacked_bytes -= unpacked.size
        self._unpacked_files -= len(unpacked.paths)
        self._log.write(f"{subject}: {len(unpacked.paths)} files in {fetched.name}")
        fetched.path.unlink()
        return folder

    def text(self, subject: str, text: str | None) -> str | None:
        """A property that is a text or the URL of one: the text; None when there is none."""
        if text is None or not text.strip():
            return None
        url = requirements_url(text)
        if url is None:
            return text
        fetched = self.fetch(subject, Source(url=url), subject)
        content = fetched.path.read_bytes()[: _TEXT_BYTES + 1]
        if len(content) > _TEXT_BYTES:
            raise SourceInvalidError(f"{subject}: {redact(url)} is longer than 1 MiB")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise SourceInvalidError(f"{subject}: {redact(url)} is not text in UTF-8") from None

    def _new_folder(self) -> Path:
        self._count += 1
        folder = self._workspace / f"input-{self._count}"
        with disk_errors():
            folder.mkdir()
        return folder


class _Folder:
    """The app root: files of all assets side by side."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._owners: dict[PurePosixPath, str] = {}
        self._folders: dict[PurePosixPath, str] = {}
        path.mkdir()

    def take(self, asset: str, files: Path, *, is_folder: bool) -> None:
        """Move a file, or what is in a folder, into the app root; raises AssetConflictError."""
        if not is_folder:
            self._take_one(asset, files, PurePosixPath(files.name))
            return
        for path in _files_below(files):
            self._take_one(asset, files / path, path)

    def _take_one(self, asset: str, file: Path, path: PurePosixPath) -> None:
        parents = path.parents[:-1]
        in_the_way = (self._owners.get(path), self._folders.get(path), *map(self._owners.get, parents))
        other = next((owner for owner in in_the_way if owner is not None), None)
        if other is not None:
            raise AssetConflictError(
                f"the assets {other!r} and {asset!r} both have {str(path)!r}: rename one of them"
            )
        self._owners[path] = asset
        for parent in parents:
            self._folders.setdefault(parent, asset)
        (self.path / path).parent.mkdir(parents=True, exist_ok=True)
        file.rename(self.path / path)


def _files_below(folder: Path) -> Sequence[PurePosixPath]:
    found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return sorted(PurePosixPath(path.relative_to(folder).as_posix()) for path in found)
