"""The load: wrk on loopback, with one thread, for a fixed time."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.bench.scoring.servers import KEY

SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {key}"
wrk.body = [==[{body}]==]
"""


@dataclass(frozen=True)
class Result:
    """The figures of one run of wrk."""

    per_second: float
    """Responses with 2xx or 3xx."""
    refused_per_second: float
    p99_ms: float


def need_wrk() -> None:
    """Install wrk from Debian if it is missing. Raises RuntimeError if it cannot be installed."""
    if shutil.which("wrk"):
        return
    print("wrk is missing: apt-get install wrk", flush=True)
    try:
        subprocess.run(["apt-get", "install", "-y", "-q", "wrk"], check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError("the benchmark needs wrk on PATH") from error


def load(url: str, body: str, connections: int, seconds: int, *, niced: bool = False) -> Result:
    """Run wrk against a server. With `niced` the server has precedence if cores are scarce.

    Raises RuntimeError if wrk fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(SCRIPT.format(key=KEY, body=body))
        command = [
            *(["nice"] if niced else []),
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}",
            "--latency",
            "-s",
            script,
            url,
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"wrk failed: {done.stdout} {done.stderr}")
    output = done.stdout
    total = int(_found(r"(\d+) requests in", output))
    took = _seconds(_found(r"requests in ([\d.]+\w+),", output))
    refused = int(_found(r"Non-2xx or 3xx responses: (\d+)", output, "0"))
    return Result(
        (total - refused) / took, refused / took, _seconds(_found(r"99%\s+([\d.]+\w+)", output)) * 1000
    )


def _found(pattern: str, text: str, default: str | None = None) -> str:
    match = re.search(pattern, text)
    if match:
        return match[1]
    if default is None:
        raise RuntimeError(f"unexpected output of wrk: {text}")
    return default


def _seconds(text: str) -> float:
    for unit, factor in (("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise RuntimeError(f"unexpected time in the output of wrk: {text}")
