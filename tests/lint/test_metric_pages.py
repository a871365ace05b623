"""Each metric that the code defines is documented."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_DEFINITION = re.compile(r'(?:Counter|Gauge|Histogram|Summary|MetricFamily)\(\s*"(modelyard_[a-z_]+)"')


def test_each_metric_in_code_stands_in_the_reference() -> None:
    reference = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    documented = {
        name.removesuffix("_total")
        for name in re.findall(r"^\| `(modelyard_\w+)` \|", reference, re.MULTILINE)
    }
    package = ROOT / "operator" / "modelyard"
    sources = [path for path in package.rglob("*.py") if not path.is_relative_to(package / "scoring")]
    defined = {name for path in sources for name in _DEFINITION.findall(path.read_text(encoding="utf-8"))}
    assert defined == documented
