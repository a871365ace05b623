"""The layers of models: found in the registry, streamed into it from where the model is, or made on the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from modelyard.build.errors import DigestMismatchError, SourceError, about
from modelyard.build.fetch import FetchContext, StreamedSource, open_source
from modelyard.build.layers.cache import Kept, LayerCache
from modelyard.build.layers.crew import Crew
from modelyard.build.layers.keys import model_key
from modelyard.build.layers.layer import Layer
from modelyard.build.layers.store import Store
from modelyard.build.layers.tar import tar_of
from modelyard.build.layout import ImageContent, model_paths
from modelyard.build.log import BuildLog
from modelyard.build.request import BuildRequest, ModelInput, Step
from modelyard.build.sizes import human
from modelyard.build.urls import clean_file_name, file_name, redact

_SAMPLE_BYTES: Final = 1024 * 1024


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
        crew: Crew,
    ) -> None:
        self._paths = model_paths(request)
        self._models = request.models
        self._context = context
        self._log = log
        self._image = image
        self._cache = cache
        self._crew = crew
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
        with about(model.subject, Step.FETCH):
            source = open_source(model.source, name=name, limit_bytes=self.left_bytes, context=self._context)
        if source is None:
            return False
        self._log.write(f"{model.subject}: {human(source.size)} at {redact(url)}")
        self.left_bytes -= source.size
        if self._is_found(model, source.name, source.promised):
            source.close()
        else:
            self._start(model, source.name, partial(self._streamed, model, source))
        return True

    def _is_found(self, model: ModelInput, name: str | None, digest: str | None) -> bool:
        if digest is None:
            return False
        kept = self._cache.take(model_key(self._paths[model.subject], name, digest))
        if kept is None:
            return False
        self._begun[model.subject] = found = Future()
        found.set_result(ModelLayer(replace(kept.layer, holds=model.subject), digest))
        return True

    def _start(self, model: ModelInput, name: str | None, make: Callable[[], ModelLayer]) -> None:
        def work() -> ModelLayer:
            with _about(model):
                made = make()
            key = model_key(self._paths[model.subject], name, made.digest)
            self._crew.start(lambda: self._cache.keep(key, Kept(made.layer)))
            return made

        self._begun[model.subject] = self._crew.start(work)

    def _sent(self, model: ModelInput, files: Path, digest: str) -> ModelLayer:
        tar = tar_of({self._paths[model.subject]: files})
        return ModelLayer(self._image.send(tar, model.subject), digest)

    def _streamed(self, model: ModelInput, source: StreamedSource) -> ModelLayer:
        with source:
            file = _Peeked(source)
            tar = tar_of({f"{self._paths[model.subject]}/{source.name}": file})
            layer = self._image.send(tar, model.subject, sample=file.head)
        if source.promised not in {None, source.digest}:  # read to its last byte, but not to its end
            raise DigestMismatchError(f"the file has the digest {source.digest}, not {source.promised}")
        return ModelLayer(layer, source.digest)


@contextmanager
def _about(model: ModelInput) -> Iterator[None]:
    """Fetching and pushing are one: whose failure it is says which step failed."""
    with about(model.subject, Step.PUSH):
        try:
            yield
        except SourceError as error:
            error.step = Step.FETCH
            raise


class _Peeked:
    """A file whose first bytes are looked at before all of it is read, in one go."""

    def __init__(self, source: StreamedSource) -> None:
        self.size = source.size
        self._source = source
        self._begun: Iterator[bytes] | None = None

    def head(self) -> bytes:
        chunks = self._source.open(0)
        seen: list[bytes] = []
        while sum(map(len, seen)) < _SAMPLE_BYTES and (chunk := next(chunks, None)) is not None:
            seen.append(chunk)
        self._begun = chain(seen, chunks)
        return b"".join(seen)

    def open(self, offset: int) -> Iterator[bytes]:
        begun, self._begun = self._begun, None
        return begun if begun and not offset else self._source.open(offset)
