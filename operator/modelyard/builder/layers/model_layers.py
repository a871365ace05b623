"""The layers with the models: from the cache, streamed from the source, or made from files on the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from modelyard.builder.layers.cache_keys import model_key
from modelyard.builder.layers.image_repository import ImageRepository
from modelyard.builder.layers.layer import Layer
from modelyard.builder.layers.layer_cache import (
    CachedLayer,
    LayerCache,
)
from modelyard.builder.layers.tar_stream import tar_of
from modelyard.builder.layout import ImageContent, model_paths
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.fetch import open_stream
from modelyard.builder.sources.file_stream import StreamedSource
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
_BLOCK_INTERVAL: Final = 16
"""Every 16th block of a file's head is the sample for compression. All blocks would delay the upload."""


@dataclass(frozen=True)
class ModelLayer:
    """A layer with a model, and the digest of the model before it was unpacked."""

    layer: Layer
    digest: str


class ModelLayers:
    """The layers with the models of a build request, one per model, made concurrently."""

    def __init__(
        self,
        request: BuildRequest,
        context: FetchContext,
        log: BuildLog,
        *,
        image: ImageRepository,
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
        self._layers: dict[str, Future[ModelLayer]] = {}
        self.remaining_download_bytes = request.limits.download_bytes
        """Bytes that the rest of the build may download."""

    def start_streams(self) -> list[ModelInput]:
        """Start the layers that need no file on the disk: cached models and models that can be streamed.

        Returns the other models, which the caller fetches and passes to `start_files`. Raises SourceError.
        """
        return [model for model in self._models if not self._start_stream(model)]

    def start_files(self, content: ImageContent) -> None:
        """Start the layers with the models that were fetched to the disk."""
        for model in self._models:
            path = self._paths[model.subject]
            files = next((placed.files for placed in content.models if placed.path == path), None)
            if files is not None:
                name = None if model.source.unpack else next(files.iterdir()).name
                digest = content.digests[model.subject]
                if not self._use_cached(model, name, digest):
                    self._start(model, name, partial(self._push_files, model, files, digest))

    def results(self) -> dict[str, ModelLayer]:
        """Wait for all layers, and return them by the subject of their model, in the order of the request."""
        return {model.subject: self._layers[model.subject].result() for model in self._models}

    def _start_stream(self, model: ModelInput) -> bool:
        """Start the layer of a model, unless its file has to be on the disk first."""
        url = model.source.url or ""
        name = file_name(url) or clean_file_name(model.name) or "file"
        if self._use_cached(model, None if model.source.unpack else name, model.source.digest):
            return True
        if model.source.unpack:
            return False
        self._log.write(f"{model.subject}: {redact(url)}")
        with about(model.subject):
            source = open_stream(
                model.source, name=name, limit_bytes=self.remaining_download_bytes, context=self._context
            )
        if source is None:
            return False
        self._log.write(f"{model.subject}: {human(source.size)}")
        self.remaining_download_bytes -= source.size
        if self._use_cached(model, source.name, source.expected_digest):
            source.close()
        else:
            push = partial(self._push_stream, model, source)
            self._start(model, source.name, push, on_cancel=source.close)
        return True

    def _use_cached(self, model: ModelInput, name: str | None, digest: str | None) -> bool:
        if digest is None:
            return False
        cached = self._cache.get(self._key(model, name, digest))
        if cached is None:
            return False
        result: Future[ModelLayer] = Future()
        result.set_result(ModelLayer(replace(cached.layer, created_by=model.subject), digest))
        self._layers[model.subject] = result
        return True

    def _key(self, model: ModelInput, name: str | None, digest: str) -> str:
        owner = self._image.repository.repository.rpartition("/")[0]
        return model_key(owner, self._paths[model.subject], name, digest)

    def _start(
        self,
        model: ModelInput,
        name: str | None,
        push: Callable[[], ModelLayer],
        *,
        on_cancel: Callable[[], None] = lambda: None,
    ) -> None:
        def push_and_cache() -> ModelLayer:
            with about(model.subject):
                pushed = push()
            key = self._key(model, name, pushed.digest)
            self._tasks.start(lambda: self._cache.put(key, CachedLayer(pushed.layer)))
            return pushed

        self._layers[model.subject] = self._tasks.start(push_and_cache, on_cancel=on_cancel)

    def _push_files(self, model: ModelInput, files: Path, digest: str) -> ModelLayer:
        tar = tar_of({self._paths[model.subject]: files})
        return ModelLayer(self._image.push_layer(tar, model.subject), digest)

    def _push_stream(self, model: ModelInput, source: StreamedSource) -> ModelLayer:
        with source:
            file = _SampledSource(source)
            tar = tar_of({f"{self._paths[model.subject]}/{source.name}": file})
            layer = self._image.push_layer(tar, model.subject, sample=file.sample)
        # The tar reads the last byte of the source, but not its end, where the source checks its digest.
        if source.expected_digest not in {None, source.digest}:
            raise DigestMismatchError(
                f"the file has the digest {source.digest}, not {source.expected_digest}:"
                " correct the digest, or the file at the url"
            )
        return ModelLayer(layer, source.digest)


class _SampledSource:
    """A source whose head is read once, both as a sample and as the beginning of the first `open`."""

    def __init__(self, source: StreamedSource) -> None:
        self.size = source.size
        self._source = source
        self._first_read: Iterator[bytes] | None = None

    def sample(self) -> bytes:
        chunks = self._source.open(0)
        head_chunks: list[bytes] = []
        while sum(map(len, head_chunks)) < _HEAD_BYTES and (chunk := next(chunks, None)) is not None:
            head_chunks.append(chunk)
        self._first_read = chain(head_chunks, chunks)
        head = b"".join(head_chunks)
        starts = range(0, len(head), _BLOCK_INTERVAL * _BLOCK_BYTES)
        return b"".join(head[start : start + _BLOCK_BYTES] for start in starts)

    def open(self, offset: int) -> Iterator[bytes]:
        first_read, self._first_read = self._first_read, None
        return first_read if first_read and offset == 0 else self._source.open(offset)
