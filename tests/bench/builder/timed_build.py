"""Runs a build in the operator's image, and prints its time and memory as JSON in the last line.

It must import the standard library only, because the image contains no test code.
"""

import json
import os
import subprocess
import sys
import time

# Imports the builder, then prints the start of its own code. time.monotonic is the same in all processes.
BUILD = """
import sys, time
import modelyard.builder.job, modelyard.builder.layers.layer_builder
print(time.monotonic(), file=sys.stderr, flush=True)
modelyard.builder.job.main()
"""

started = time.monotonic()
process = subprocess.Popen([sys.executable, "-c", BUILD], stderr=subprocess.PIPE, text=True)
assert process.stderr is not None
build_started = process.stderr.readline()
_, status, usage = os.wait4(process.pid, 0)
ended = time.monotonic()
if os.waitstatus_to_exitcode(status):
    sys.exit(build_started + process.stderr.read())
usage = {
    "seconds": ended - float(build_started),
    "start_seconds": float(build_started) - started,
    "peak_bytes": usage.ru_maxrss * 1024,
}
print(json.dumps(usage))
