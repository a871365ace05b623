"""`python -m tests.fuzz`: INPUTS (100000) addresses and fewer inputs of other kinds, from SEED (1).

Ends with the line `inputs=… escapes=… crashes=…`, and with exit code 1 unless the last two are zero.
"""

from __future__ import annotations

import os
import sys
import time

from tests.fuzz import addresses, archives, heads, packages, records, tensors, texts
from tests.fuzz.tally import Tally


def main() -> int:
    """Run all parts and return the exit code."""
    inputs = int(os.environ.get("INPUTS") or 100_000)
    seed = int(os.environ.get("SEED") or 1)
    tally = Tally()
    # Addresses come last: they replace the resolver of the process.
    for name, run, count in (
        ("archives", archives.run, inputs // 50),
        ("conda packages", packages.run_conda, inputs // 125),
        ("wheels", packages.run_wheels, inputs // 5000),
        ("texts", texts.run, inputs // 10),
        ("records", records.run, inputs // 25),
        ("requests", heads.run, inputs // 5),
        ("tensors", tensors.run, inputs // 5),
        ("addresses", addresses.run, inputs),
    ):
        started = time.monotonic()
        before = tally.inputs
        run(tally, count, seed)
        print(
            f"{name}: {tally.inputs - before} inputs in {time.monotonic() - started:.1f} s, seed {seed}",
            flush=True,
        )
    print(tally.report())
    return 1 if tally.escapes or tally.crashes else 0


if __name__ == "__main__":
    sys.exit(main())
