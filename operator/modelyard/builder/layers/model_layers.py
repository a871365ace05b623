"""The layers of models: found in the registry, streamed into it from where they are, or made on the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from modelyard.builder.layers.cache_keys import model_key
from modelyard.builder.layers.image_repository import Store
from modelyard.builder.layers.layer import Layer
from modelyard.builder.layers.layer_cache import (
    Kept,
    LayerCache,
)
from modelyard.builder.layers.tar_stream import tar_of
from modelyard.builder.layout import ImageContent, model_paths
from modelyard.builder.log import BuildLog
from modelyard.builder.sources import (
    FetchContext,
    StreamedSource,
    open_stream,
)
from modelyard.contract.build_request import (
    BuildRequest,
    ModelInput,
)
from modelyard.contract.errors import (
    DigestMismatchError,
    about,
)
from modelyard.contract.urls import (
    clean_file_name,
    file_name,
)
from modelyard.redaction import redact
from modelyard.sizes import human
from modelyard.task_group import TaskGroup

_HEAD_BYTES: Final = 512 * 1024
_BLOCK_BYTES: Final = 4 * 1024
_EACH: Final = 16
"""Of that many blocks of the head one is a sample of the file: packing all of it would hold up the upload."""


@dataclass(frozen=True)
class ModelLayer:
    """A layer with a model, and the digest of the model as it was fetched."""

    layer: Layer
    digest: str


class ModelLayers:
    """Of all models of a request; each layer goes its own way beside the others."""

    def __init__(
        self,
        request: BuildRequest,
        context: FetchContext,
        log: BuildLog,
        *,
        image: Store,
        cache: LayerCache,
        tasks: TaskGroup,
    ) -> None:
        self._paths = model_paths(request)
        self._models = request.models
        self._context = context
        self._log = log
        self._image = image
        self._cache = cache
        self._tasks = tasks
        self._begun: dict[str, Future[ModelLayer]] = {}
        self.left_bytes = request.limits.download_bytes
        """What others may download."""

    def begin(self) -> list[ModelInput]:
        """Start what needs no disk; the rest are those that have to be fetched. Raises SourceError."""
        return [model for model in self._models if not self._begin(model)]

    def take(self, content: ImageContent) -> None:
        """Start with those that were fetched."""
        for model in self._models:
            path = self._paths[model.subject]
            files = next((placed.files for placed in content.models if placed.path == path), None)
            if files is not None:
                name = None if model.source.unpack else next(files.iterdir()).name
                digest = content.digests[model.subject]
                if not self._is_found(model, name, digest):
                    self._start(model, name, partial(self._sent, model, files, digest))

    def made(self) -> dict[str, ModelLayer]:
        """All of them by subject, in the request's order."""
        return {model.subject: self._begun[model.subject].result() for model in self._models}

    def _begin(self, model: ModelInput) -> bool:
        url = model.source.url or ""
        name = file_name(url) or clean_file_name(model.name) or "file"
        if self._is_found(model, None if model.source.unpack else name, model.source.digest):
            return True
        if model.source.unpack:
            return False
        self._log.write(f"{model.subject}: {redact(url)}")
        with about(model.subject):
            source = open_stream(model.source, name=name, limit_bytes=self.left_bytes, context=self._context)
        if source is None:
            return False
        self._log.write(f"{model.subject}: {human(source.size)}")
        self.left_bytes -= source.size
        if self._is_found(model, source.name, source.expected_digest):
            source.close()
        else:
            self._start(model, source.name, partial(self._streamed, model, source), on_cancel=source.close)
        return True

    def _is_found(self, model: ModelInput, name: str | None, digest: str | None) -> bool:
        if digest is None:
            return False
        kept = self._cache.take(self._key(model, name, digest))
        if kept is None:
            return False
        found: Future[ModelLayer] = Future()
        found.set_result(ModelLayer(replace(kept.layer, holds=model.subject), digest))
        self._begun[model.subject] = found
        return True

    def _key(self, model: ModelInput, name: str | None, digest: str) -> str:
        owner = self._image.repository.repository.rpartition("/")[0]
        return model_key(owner, self._paths[model.subject], name, digest)

    def _start(
        self,
        model: ModelInput,
        name: str | None,
        make: Callable[[], ModelLayer],
        *,
        on_cancel: Callable[[], None] = lambda: None,
    ) -> None:
        def work() -> ModelLayer:
            with about(model.subject):
                made = make()
            self._tasks.start(lambda: self._cache.keep(self._key(model, name, made.digest), Kept(made.layer)))
            return made

        self._begun[model.subject] = self._tasks.start(work, on_cancel=on_cancel)

    def _sent(self, model: ModelInput, files: Path, digest: str) -> ModelLayer:
        tar = tar_of({self._paths[model.subject]: files})
        return ModelLayer(self._image.send(tar, model.subject), digest)

    def _streamed(self, model: ModelInput, source: StreamedSource) -> ModelLayer:
        with source:
            file = _Peeked(source)
            tar = tar_of({f"{self._paths[model.subject]}/{source.name}": file})
            layer = self._image.send(tar, model.subject, sample=file.head)
        if source.expected_digest not in {None, source.digest}:  # read to its last byte, but not to its end
            raise DigestMismatchError(
                f"the file has the digest {source.digest}, not {source.expected_digest}"
            )
        return ModelLayer(layer, source.digest)


class _Peeked:
    """A file whose first bytes are looked at before all of it is read, in one go."""

    def __init__(self, source: StreamedSource) -> None:
        self.size = source.size
        self._source = source
        self._begun: Iterator[bytes] | None = None

    def head(self) -> bytes:
        chunks = self._source.open(0)
        seen: list[bytes] = []
        while sum(map(len, seen)) < _HEAD_BYTES and (chunk := next(chunks, None)) is not None:
            seen.append(chunk)
        self._begun = chain(seen, chunks)
        head = b"".join(seen)
        return b"".join(
            head[start : start + _BLOCK_BYTES] for start in range(0, len(head), _EACH * _BLOCK_BYTES)
        )

    def open(self, offset: int) -> Iterator[bytes]:
        begun, self._begun = self._begun, None
        return begun if begun and not offset else self._source.open(offset)
