"""The script of the worker process: start.py CHANNEL LIFELINE PROGRESS THREADS (see worker.main).

Python puts this file's folder first into sys.path. It is replaced at once: no module of the runtime must take
the place of one of the driver's modules.
"""

import sys
from pathlib import Path

RUNTIME = str(Path(__file__).resolve().parents[3])

if __name__ == "__main__":
    sys.path[0] = RUNTIME
    from modelyard.scoring.worker.main import main

    sys.exit(main(sys.argv[1:]))
