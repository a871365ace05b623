"""Fetches and unpacks the inputs of an image, and arranges the files on the disk as they are in the image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from modelyard.builder.disk import disk_errors
from modelyard.builder.environment.conda_file import (
    CondaFile,
    read_conda_file,
)
from modelyard.builder.layout import (
    ImageContent,
    PlacedModel,
    asset_file_name,
    driver_asset,
    driver_file_name,
    model_dir,
    model_paths,
)
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.download import FetchedFile
from modelyard.builder.sources.fetch import fetch
from modelyard.builder.sources.placeholder import is_pointer
from modelyard.builder.text_file import BYTE_ORDER_MARK, decode_text
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

_NAMED_POINTERS: Final = 5
_TEXT_BYTES: Final = 1024 * 1024  # limit of a requirements or environment file at a URL


def assemble(
    request: BuildRequest,
    workspace: Path,
    context: FetchContext,
    log: BuildLog,
    *,
    models: Sequence[ModelInput] | None = None,
) -> ImageContent:
    """Fetch and unpack the inputs of an image into an empty workspace.

    `models` are the models to put on the disk, all models of the request by default. The base image and the
    packages are not part of the result. Raises CodedError with the model or asset as its subject.
    """
    driver = driver_asset(request)
    paths = model_paths(request)
    chosen = request.models if models is None else models
    inputs = _InputFetcher(request.limits, workspace, context, log)
    log.enter(Step.FETCH)
    fetched_models = [inputs.fetch(model.subject, model.source, model.name) for model in chosen]
    fetched_assets = [inputs.fetch(asset.subject, asset.source, asset.id) for asset in request.assets]
    requirements = inputs.fetch_text(PIP_REQUIREMENTS, request.pip_requirements)
    conda_text = inputs.fetch_text(CONDA_ENV_FILE, request.conda_env_file)
    conda = _parse_conda_file(conda_text) if conda_text else None
    log.enter(Step.UNPACK)
    app = _AppFolder(workspace / "app")
    entry_script = ""
    for asset, fetched in zip(request.assets, fetched_assets, strict=True):
        files = inputs.unpack(asset.subject, asset.source, fetched)
        if asset is driver:
            entry_script = driver_file_name(fetched.name)
            files = files.rename(files.with_name(entry_script))
        elif not files.is_dir():
            files = files.rename(files.with_name(asset_file_name(asset, fetched.name)))
        app.add(asset.id, files, is_folder=asset.source.unpack)
    placed = []
    for model, fetched in zip(chosen, fetched_models, strict=True):
        files = inputs.unpack(model.subject, model.source, fetched)
        placed.append(PlacedModel(files if model.source.unpack else files.parent, paths[model.subject]))
    return ImageContent(
        models=tuple(sorted(placed, key=lambda model: model.path)),
        app=app.path,
        entry_script=entry_script,
        model_dir=model_dir(request),
        requirements=_joined_requirements(conda, requirements),
        conda=conda,
        spark=request.spark,
        digests=inputs.digests,
    )


def _parse_conda_file(text: str) -> CondaFile:
    with about(CONDA_ENV_FILE):
        return read_conda_file(text)


def _joined_requirements(conda: CondaFile | None, requirements: str | None) -> str | None:
    """Return the pip section of the conda file and the pipRequirements as one text, None without any."""
    lines = [*conda.pip] if conda else []
    if requirements:
        lines.append(requirements)
    return "\n".join(lines) or None


class _InputFetcher:
    """Fetches and unpacks files within the limits of a build. Each call uses up a part of the limits."""

    def __init__(self, limits: Limits, workspace: Path, context: FetchContext, log: BuildLog) -> None:
        self._download_bytes = limits.download_bytes
        self._unpacked_bytes = limits.unpacked_bytes
        self._unpacked_files = limits.unpacked_files
        self._workspace = workspace
        self._context = context
        self._log = log
        self._count = 0
        self.digests: dict[str, str] = {}
        """Subject to the digest (sha256:…) of the fetched bytes."""

    def fetch(self, subject: str, source: Source, name: str) -> FetchedFile:
        """Fetch a file, or the folder of an artifact, into a new folder. `name` is for a URL without one."""
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
        """Return the path of the file, or of the folder with its content if `source.unpack` is set."""
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
        self._warn_of_pointers(subject, folder, unpacked.paths)
        fetched.path.unlink()
        return folder

    def fetch_text(self, subject: str, text: str | None) -> str | None:
        """Return the text of a field that is a text or the URL of a text, None if the field is empty."""
        if text is None or not text.strip():
            return None
        url = requirements_url(text)
        if url is None:
            return text.removeprefix(BYTE_ORDER_MARK)
        fetched = self.fetch(subject, Source(url=url), subject)
        content = fetched.path.read_bytes()[: _TEXT_BYTES + 1]
        if len(content) > _TEXT_BYTES:
            raise SourceInvalidError(f"{subject}: {redact(url)} is longer than 1 MiB: give a shorter file")
        decoded = decode_text(content)
        if decoded is None:
            raise SourceInvalidError(
                f"{subject}: {redact(url)} is not text in UTF-8, or in UTF-16 with a byte order mark: save"
                " the file as UTF-8"
            )
        return decoded

    def _warn_of_pointers(self, subject: str, folder: Path, paths: Sequence[PurePosixPath]) -> None:
        """Log the pointers of Git LFS: archives of a repository contain them in place of large files."""
        pointers = [str(path) for path in paths if is_pointer(folder / path)]
        if pointers:
            names = ", ".join(pointers[:_NAMED_POINTERS])
            self._log.write(
                f"{subject}: {len(pointers)} files are pointers of Git LFS, not the files themselves:"
                f" {names}. Run `git lfs pull` before you pack the archive"
            )

    def _new_folder(self) -> Path:
        self._count += 1
        folder = self._workspace / f"input-{self._count}"
        with disk_errors():
            folder.mkdir()
        return folder


class _AppFolder:
    """The app folder of the image, with the files of all assets. Detects two assets with the same path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file_owners: dict[PurePosixPath, str] = {}
        self._folder_owners: dict[PurePosixPath, str] = {}
        path.mkdir()

    def add(self, asset: str, files: Path, *, is_folder: bool) -> None:
        """Move a file, or the files of a folder, into the app folder. Raises AssetConflictError."""
        if not is_folder:
            self._add_file(asset, files, PurePosixPath(files.name))
            return
        for path in _files_below(files):
            self._add_file(asset, files / path, path)

    def _add_file(self, asset: str, file: Path, path: PurePosixPath) -> None:
        parents = path.parents[:-1]
        owners = [
            self._file_owners.get(path),
            self._folder_owners.get(path),  # an asset has files below this path
            *(self._file_owners.get(parent) for parent in parents),
        ]
        other = next((owner for owner in owners if owner is not None), None)
        if other is not None:
            raise AssetConflictError(
                f"the assets {other!r} and {asset!r} both have {str(path)!r}: rename one of them"
            )
        self._file_owners[path] = asset
        for parent in parents:
            self._folder_owners.setdefault(parent, asset)
        (self.path / path).parent.mkdir(parents=True, exist_ok=True)
        file.rename(self.path / path)


def _files_below(folder: Path) -> Sequence[PurePosixPath]:
    found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return sorted(PurePosixPath(path.relative_to(folder).as_posix()) for path in found)
