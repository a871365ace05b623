"""The storage sink: files of a batch in S3, Google Storage or Azure Blob Storage.

    <prefix>/modeldata/<namespace>/<service>/<version>/<name>/<yyyy>/<mm>/<dd>/<hh>/<batch>[-<part>].parquet

A file appears complete or not at all: it is one request. The names follow from the batch, so that a batch
that comes again replaces its own files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore

from modelyard.collection.destination import STORAGE_CA, STORAGE_URL
from modelyard.collection.encoding import Encoder, JsonLinesEncoder
from modelyard.collection.parquet import ParquetEncoder
from modelyard.collection.row import Origin, Row
from modelyard.collection.settings import JSON_LINES, CollectionSettings
from modelyard.collection.sink import Batch, Delivered, SinkError, Trouble
from modelyard.object_stores.connection import PANIC_MESSAGE, first_line, is_panic, open_bucket
from modelyard.object_stores.credentials import StoreInvalidError, store_config, store_keys
from modelyard.redaction import redact

TOO_MANY_FILES: Final = "too_many_files"
"""Reason: the batch has more pairs of name and hour than MAX_FILES."""
MAX_FILES: Final = 64
"""Pairs of name and hour in a batch. A file each costs a reading of the batch: a driver chooses the names."""

_SCHEMES: Final = {"s3": "s3", "gs": "gs", "abfs": "abfs", "abfss": "abfs"}
_DESTINATION: Final = "Secret of the destination"
_REQUEST_SECONDS: Final = 120
_CHUNK_ROWS: Final = 512
_CHUNK_BYTES: Final = 256 * 1024
"""A chunk of rows is in memory as objects of Python, columns and pages."""
_ROW_BYTES: Final = 256
"""Size of a row beside its texts."""
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_.-]")
_MAX_NAME: Final = 63
_NO_BUCKET: Final = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist", re.IGNORECASE)
_REFUSAL: Final = re.compile(r"status code: (400|401|403|404|405|409) ")
_STATUS: Final = re.compile(r"status code: (\d{3} [A-Za-z ]{1,40})")
_CODE: Final = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
"""The error of S3, Azure Blob and Google Storage: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html."""
_US_PER_HOUR: Final = 3_600_000_000


def open_storage(
    settings: CollectionSettings, identity: Mapping[str, str], secret: Mapping[str, str]
) -> StorageSink:
    """Return the sink of a destination. `identity` is that of take_cloud_identity().

    Raises SinkError for a URL or a Secret that no request can use.
    """
    url = secret.get(STORAGE_URL) or settings.storage_url
    if not url:
        raise SinkError(
            Trouble.NOT_CONFIGURED,
            f"no storage is named: set the key {STORAGE_URL} of the Secret, or dataCollection.storage.url",
        )
    try:
        kind = _SCHEMES.get(urlsplit(url).scheme.lower(), "")
    except ValueError:
        kind = ""
    if not kind:
        raise SinkError(
            Trouble.NOT_CONFIGURED,
            f"{redact(url)} is no URL of a storage: write s3://, gs:// or abfss://, the bucket and a folder",
        )
    keys = {key: secret[key] for key in store_keys(kind) if key in secret}
    try:
        config = store_config(kind, keys, origin=_DESTINATION, identity=identity)
        authority = secret.get(STORAGE_CA, "").encode()
        timeout = timedelta(seconds=_REQUEST_SECONDS)
        store = open_bucket(url, config, ca_certificates=authority or None, timeout=timeout)
    except StoreInvalidError as error:
        raise SinkError(Trouble.NOT_CONFIGURED, str(error)) from None
    encoder: Encoder
    if settings.storage_format == JSON_LINES:
        encoder = JsonLinesEncoder(settings.origin)
    else:
        encoder = ParquetEncoder(settings.origin)
    secrets = tuple(value for key, value in secret.items() if key != STORAGE_URL and len(value) > 3)
    return StorageSink(url, store, encoder, settings.origin, settings.state_dir / "storage.part", secrets)


class _Group(NamedTuple):
    """The rows of one folder."""

    folder: str
    hour: int
    """Hours since the epoch."""


class StorageSink:
    """Writes a file for each name and hour of a batch, see sink.Sink."""

    def __init__(
        self,
        url: str,
        store: ObjectStore,
        encoder: Encoder,
        origin: Origin,
        part: Path,
        secrets: Sequence[str] = (),
    ) -> None:
        """`part` is the file that is uploaded. `secrets` are texts that no message may contain."""
        self._url = _shown(url)
        self._store = store
        self._encoder = encoder
        prefix = unquote(urlsplit(url).path).strip("/")
        folders = [prefix, "modeldata", origin.namespace, origin.service, origin.version]
        self._folder = "/".join(filter(None, folders))
        self._part = part
        self._secrets = secrets
        # A right to create, without one to replace, is enough where the store can tell that a file exists.
        self._mode: Any = "overwrite" if url.lower().startswith("s3:") else "create"

    def deliver(self, batch: Batch) -> Delivered:
        """Upload the files of a batch, see sink.Sink. Raises SinkError and OSError."""
        rows = size = 0
        done: set[_Group] = set()
        while True:
            group = _GroupReader(batch.rows(), done)
            for part in count():
                written, uploaded = self._write_file(group, batch.name, part)
                rows += written
                size += uploaded
                if group.ended:
                    break
            if group.group is not None:
                done.add(group.group)
            if not group.others:
                return Delivered(rows, size)
            if len(done) == MAX_FILES:
                return Delivered(rows, size, {TOO_MANY_FILES: group.others})

    def close(self) -> None:
        """Do nothing: the library has no connection to close."""

    def _write_file(self, group: _GroupReader, batch: str, part: int) -> tuple[int, int]:
        """Upload the next file of a group. Return its rows and its bytes; 0 and 0 if none are left."""
        with self._part.open("w+b") as file:
            rows = self._encoder.write(group, file)
            if not rows or group.group is None:
                return 0, 0
            file.seek(0)
            content = file.read()
        hour = group.group.hour
        folder = f"{self._folder}/{group.group.folder}/{_hour_folder(hour)}"
        suffix = f"-{part}" if part else ""
        self._upload(f"{folder}/{batch}{suffix}.{self._encoder.suffix}", content)
        return rows, len(content)

    def _upload(self, path: str, content: bytes) -> None:
        try:
            obstore.put(self._store, path, content, mode=self._mode, use_multipart=False)
        except AlreadyExistsError:
            return  # of an attempt before this one: the name has the same rows
        except (PermissionDeniedError, UnauthenticatedError, NotSupportedError, FileNotFoundError) as error:
            raise self._refused(error) from None
        except BaseError as error:
            if _REFUSAL.search(str(error)) or _NO_BUCKET.search(str(error)):
                raise self._refused(error) from None
            message = f"{self._url} cannot be written: {self._reason(error)}"
            raise SinkError(Trouble.UNAVAILABLE, message) from None
        except BaseException as error:
            if not is_panic(error):
                raise
            raise SinkError(Trouble.REFUSED, f"{self._url}: {PANIC_MESSAGE}") from None

    def _refused(self, error: Exception) -> SinkError:
        if _NO_BUCKET.search(str(error)):
            problem = f"the bucket does not exist: create the bucket, or correct the key {STORAGE_URL}"
        else:
            problem = "the store refuses the files: check the credentials, and the right to write"
        return SinkError(Trouble.REFUSED, f"{self._url}: {problem} ({self._reason(error)})")

    def _reason(self, error: Exception) -> str:
        """Return status and code of the response, else the message of the library."""
        text = str(error)
        status, code = _STATUS.search(text), _CODE.search(text)
        found = [match[1].strip() for match in (status, code) if match]
        reason = ", ".join(found) or first_line(error)[:500]
        for secret in self._secrets:
            reason = reason.replace(secret, "***")
        return reason


def _shown(url: str) -> str:
    """Return the URL for messages. The container of Azure is in the place of a user, and is no secret."""
    shown = redact(url)
    container = urlsplit(url).username if url.lower().startswith("abfs") else None
    return shown.replace("://", f"://{container}@", 1) if container else shown


def folder_name(name: str) -> str:
    """Return the folder for the name of a collector: other characters than A-Z a-z 0-9 _ . - become `_`."""
    return _folder(name[:_MAX_NAME])  # a cache of whole names could have any size


@lru_cache(maxsize=1024)
def _folder(name: str) -> str:
    folder = _NOT_IN_NAMES.sub("_", name)
    return folder if folder.strip(".") else "_"


def _hour_folder(hour: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour)).strftime("%Y/%m/%d/%H")


class _GroupReader:
    """The rows of one group in chunks, and the number of rows of groups that follow.

    The group is that of the first row that is not done.
    """

    def __init__(self, rows: Iterator[Row], done: set[_Group]) -> None:
        self._rows = rows
        self._done = done
        self.group: _Group | None = None
        """The folder and the hour of the rows; None if all groups are done."""
        self.others = 0
        """Rows of groups that are not done, beside this one; known at the end."""
        self.ended = False
        self._pair: tuple[str, int] | None = None
        """Name and hour of the last row of the group: most rows have the same, and no folder is looked up."""

    def __iter__(self) -> _GroupReader:
        return self

    def __next__(self) -> Sequence[Row]:
        chunk: list[Row] = []
        size = 0
        for row in self._rows:
            pair = row.name, row.time_us // _US_PER_HOUR
            if pair != self._pair and not self._takes(_Group(folder_name(row.name), pair[1])):
                continue
            self._pair = pair
            chunk.append(row)
            size += _ROW_BYTES + len(row.inputs or "") + len(row.prediction or "")
            if len(chunk) == _CHUNK_ROWS or size >= _CHUNK_BYTES:
                return chunk
        self.ended = True
        if not chunk:
            raise StopIteration
        return chunk

    def _takes(self, group: _Group) -> bool:
        """Return True for a row of the group. The first row that is not done chooses it."""
        if self.group is None and group not in self._done:
            self.group = group
        if group == self.group:
            return True
        self.others += group not in self._done
        return False
