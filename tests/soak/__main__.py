"""`make soak`: random histories on a cluster of its own while its parts are killed.

MINUTES (10) is the duration, SEED repeats a schedule, CHAINS (3) is the number of histories at once, KILLS
chooses the parts to kill. At each quiet point all objects exist. The Service must become Ready within
SETTLE_SECONDS, and respond with the content that the objects name: at once, and again when all others have.
The exit code is 1 if a history is wrong, and if there was none.
"""

from __future__ import annotations

import os
import random
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.bench.progress import say
from tests.soak.chain import Chain
from tests.soak.kills import Kills
from tests.support.cluster import Kubectl, eventually
from tests.support.operator import operator_pod
from tests.support.scoring_client import ScoringClient

MINUTES: Final = float(os.environ.get("MINUTES", "10"))
CHAINS: Final = int(os.environ.get("CHAINS", "3"))
SETTLE_SECONDS: Final = 480
OUTAGE_SECONDS: Final = 360  # the API server may take minutes to start on a loaded machine
CHANGES: Final = (3, 8)  # of one history
KILL_PROBABILITY: Final = 0.3  # after each change
PAUSE_SECONDS: Final = 3.0  # at most, between two changes: a build takes as long


def persist(action: Callable[[], object]) -> None:
    """Repeat an idempotent action while the API server is down. Raises AssertionError with the last error."""
    errors: list[str] = []

    def succeeds() -> bool:
        try:
            action()
        except RuntimeError as error:
            errors.append(str(error))
            return False
        return True

    try:
        eventually(succeeds, OUTAGE_SECONDS, "a change of an object", every=1)
    except AssertionError as error:
        raise AssertionError(f"{error}: {errors[-1]}") from None


class Soak:
    """Rounds of histories, one for each chain."""

    def __init__(self, kubectl: Kubectl, schedule: random.Random) -> None:
        self._kubectl = kubectl
        self._random = schedule
        self._client = ScoringClient(kubectl, patience_seconds=OUTAGE_SECONDS)
        self._created = 0
        self._chains = [self._new_chain() for _ in range(CHAINS)]
        self.kills = Kills(kubectl, schedule)
        self.histories = 0
        self.wrong = 0

    def round(self) -> None:
        """Change all chains in random order while parts are killed, then check each chain."""
        changes = [chain for chain in self._chains for _ in range(self._random.randint(*CHANGES))]
        self._random.shuffle(changes)
        for chain in changes:
            chain.change()
            if self._random.random() < KILL_PROBABILITY and (part := self.kills.kill()):
                chain.log.append(f"kill {part}")
            time.sleep(self._random.uniform(0, PAUSE_SECONDS))
        for chain in self._chains:
            chain.complete()
        for index, error in enumerate(self._errors()):
            chain = self._chains[index]
            self.histories += 1
            if error:
                self.wrong += 1
                say(f"wrong: {error}\n  " + "\n  ".join(chain.log))
                chain.delete()
                self._chains[index] = self._new_chain()
            else:
                chain.checked()

    def _errors(self) -> list[str]:
        """Return the error of each chain, empty for a chain that is right.

        All chains are checked at once: a wrong Ready that lasts for seconds is missed by a later look.
        A second look finds content that changes after Ready, for example by an old build that ends late.
        """
        with ThreadPoolExecutor(len(self._chains)) as pool:
            errors = pool.map(self._first_error, self._chains)
            looks = zip(self._chains, list(errors), strict=True)
            return list(pool.map(lambda look: look[1] or self._response_error(look[0]), looks))

    def _first_error(self, chain: Chain) -> str:
        """Wait until a chain is Ready, and return how its responses differ, empty if they do not."""
        last = [""]

        def ready() -> bool:
            try:
                last[0] = chain.problem()
            except RuntimeError as error:
                last[0] = str(error)
            return not last[0]

        try:
            eventually(ready, SETTLE_SECONDS, f"chain {chain.name} is Ready", every=0.2)
        except AssertionError:
            return f"not Ready within {SETTLE_SECONDS} s: {last[0]}"
        return self._response_error(chain)

    def _response_error(self, chain: Chain) -> str:
        """Return how the responses of a Ready chain differ, empty if they do not."""
        found: dict[str, set[str]] = {}
        persist(lambda: found.update(self._client.responses([chain.service()])))
        if found[chain.name] != {chain.expected}:
            return f"Ready, but {chain.name} responds {found[chain.name]} instead of '{chain.expected}'"
        return ""

    def _new_chain(self) -> Chain:
        self._created += 1
        return Chain(f"chain-{self._created}", self._kubectl, self._random, persist)


def main() -> int:
    """Run rounds for MINUTES, and print the counts."""
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    operator_pod()
    kubectl = Kubectl(f"soak-{uuid.uuid4().hex[:6]}")
    kubectl("create", "namespace", kubectl.namespace)
    say(f"SEED={seed} namespace={kubectl.namespace} for {MINUTES:g} minutes")
    try:
        soak = Soak(kubectl, random.Random(seed))
        end = time.monotonic() + MINUTES * 60
        while time.monotonic() < end:
            soak.round()
            say(f"{soak.histories} histories, kills {soak.kills.counts}, {soak.wrong} wrong")
    finally:
        persist(
            lambda: kubectl("delete", "namespace", kubectl.namespace, "--wait=false", "--ignore-not-found")
        )
    print(f"histories={soak.histories} kills={sum(soak.kills.counts.values())} wrong={soak.wrong}")
    return 1 if soak.wrong or not soak.histories else 0


sys.exit(main())
