"""Runs a build in the operator's image; the last line says what it took. It must not import anything else."""

import json
import os
import subprocess
import sys
import time

# The builder's own imports, then when its own code begins: seconds of the clock that all processes share.
BUILD = """
import sys, time
import modelyard.builder.job, modelyard.builder.layers.layer_builder
print(time.monotonic(), file=sys.stderr, flush=True)
modelyard.builder.job.main()
"""

started = time.monotonic()
process = subprocess.Popen([sys.executable, "-c", BUILD], stderr=subprocess.PIPE, text=True)
assert process.stderr is not None
began = process.stderr.readline()
_, status, usage = os.wait4(process.pid, 0)
ended = time.monotonic()
if os.waitstatus_to_exitcode(status):
    sys.exit(began + process.stderr.read())
took = {
    "seconds": ended - float(began),
    "start_seconds": float(began) - started,
    "peak_bytes": usage.ru_maxrss * 1024,
}
print(json.dumps(took))
