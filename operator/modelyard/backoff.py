"""The wait before another attempt: exponential, bounded, with jitter.

Every retry loop takes its waits from this module. It imports only the standard library, because images
contain it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, NamedTuple

_MAX_DOUBLINGS: Final = 30  # 2.0 ** 30 first waits exceed every bound, and larger powers may overflow


class Backoff(NamedTuple):
    """Waits of `first_seconds`, twice as long, four times as long, … up to `most_seconds`.

    `jitter` is the fraction by which a wait may be shorter, so that many clients do not retry at the same
    time. With 0.5, a wait is between half and all of its length
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """

    first_seconds: float
    most_seconds: float
    jitter: float = 0.0
    uniform: Callable[[float, float], float] = random.uniform

    def seconds(self, failures: int, retry_after: float | None = None) -> float:
        """Return the seconds to wait after failure number `failures`, which counts from 1.

        `retry_after` is a minimum in seconds (Retry-After of the server); `most_seconds` bounds it too.
        """
        wait = self.first_seconds * 2.0 ** min(failures - 1, _MAX_DOUBLINGS)
        wait = min(wait, self.most_seconds) * self.uniform(1.0 - self.jitter, 1.0)
        return min(max(wait, retry_after or 0.0), self.most_seconds)
