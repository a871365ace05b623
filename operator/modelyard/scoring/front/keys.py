"""The check of the scoring keys: the primary and the secondary key of a mounted Secret."""

import hmac
import logging
import time
from pathlib import Path
from typing import Final

from modelyard.scoring.contract import KEY_NAMES

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 0.1
"""Minimum time between two checks of the files. A check takes two calls of stat(), about 5 µs."""

_Stamps = tuple[tuple[int, int, int] | None, ...]


class ScoringKeys:
    """The keys of a folder, read again when its files change, so that a new key needs no restart.

    Without a folder every request is accepted. With a folder whose files are missing or empty none is: a
    Secret that failed to mount must not open the endpoint.
    """

    def __init__(self, folder: Path | None) -> None:
        self._files = [folder / name for name in KEY_NAMES] if folder else None
        self._checked_at = float("-inf")
        self._stamps: _Stamps = ()
        self._keys: list[bytes] = []

    def accepts(self, authorization: bytes | None) -> bool:
        """Return True if the value of the Authorization header is `Bearer` with one of the keys.

        Every key is compared, in constant time each, so that the time taken reveals nothing about them.
        """
        if self._files is None:
            return True
        if time.monotonic() - self._checked_at >= CHECK_SECONDS:
            self._refresh(self._files)
        scheme, _, token = (authorization or b"").partition(b" ")
        matches = [hmac.compare_digest(token.strip(), key) for key in self._keys]
        return scheme.lower() == b"bearer" and any(matches)

    def _refresh(self, files: list[Path]) -> None:
        self._checked_at = time.monotonic()
        # The kubelet points a symlink at a new folder: through the symlink, every file then is a new one.
        stamps = tuple(_stamp(file) for file in files)
        if stamps == self._stamps:
            return
        keys = [_read(file) for file in files]
        self._stamps = stamps
        self._keys = [key for key in keys if key]
        log.info("%d scoring keys read", len(self._keys))


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """Return inode, modification time and size; None if the file is missing."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes().strip()
    except OSError:
        return b""
