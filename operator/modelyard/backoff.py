"""The wait before another attempt: exponential, bounded, with jitter.

Every loop that tries again takes its waits from here. Standard library only: images carry this module, too.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_MOST_DOUBLINGS: Final = 30  # 2.0 ** 30 first waits exceed every bound in use; larger powers may overflow


@dataclass(frozen=True)
class Backoff:
    """Waits of `first_seconds`, twice that, four times that, … up to `most_seconds`.

    `jitter` is the fraction by which a wait may be shorter, so that many clients do not return at once:
    0.5 gives half to all of the wait (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """

    first_seconds: float
    most_seconds: float
    jitter: float = 0.0
    uniform: Callable[[float, float], float] = random.uniform

    def seconds(self, failures: int, retry_after: float | None = None) -> float:
        """Return the seconds to wait after failure number `failures`, which counts from 1.

        `retry_after` is the server's own wish in seconds (Retry-After); it counts within `most_seconds`.
        """
        wait = self.first_seconds * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
        wait = min(wait, self.most_seconds) * self.uniform(1.0 - self.jitter, 1.0)
        return min(max(wait, retry_after or 0.0), self.most_seconds)
