"""The load: wrk on loopback, one thread, for a bounded time."""

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
    per_second: float
    """Answers with 2xx or 3xx."""
    refused_per_second: float
    p99_ms: float


def need_wrk() -> None:
    """Installs wrk from Debian when it is not there. Raises RuntimeError where that cannot be."""
    if shutil.which("wrk"):
        return
    print("wrk is missing: apt-get install wrk", flush=True)
    try:
        subprocess.run(["apt-get", "install", "-y", "-q", "wrk"], check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError("the bench needs wrk on PATH") from error


def load(url: str, body: str, connections: int, seconds: int, *, politely: bool = False) -> Result:
    """Politely: the server goes first where there are too few cores for both."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(SCRIPT.format(key=KEY, body=body))
        command = [
            *(["nice"] if politely else []),
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}",
            "--latency",
            "-s",
            script,
            url,
        ]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    total = int(_found(r"(\d+) requests in", said))
    took = _seconds(_found(r"requests in ([\d.]+\w+),", said))
    refused = int(_found(r"Non-2xx or 3xx responses: (\d+)", said, "0"))
    return Result(
        (total - refused) / took, refused / took, _seconds(_found(r"99%\s+([\d.]+\w+)", said)) * 1000
    )


def _found(pattern: str, text: str, default: str | None = None) -> str:
    match = re.search(pattern, text)
    if match:
        return match[1]
    if default is None:
        raise RuntimeError(f"wrk said: {text}")
    return default


def _seconds(text: str) -> float:
    for unit, factor in (("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise RuntimeError(f"wrk said {text}")
