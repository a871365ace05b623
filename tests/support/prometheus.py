"""A real Prometheus beside the cluster, which scrapes through the API server with the kubeconfig.

The relabelings of monitors and of the documentation are kept. Only the address is replaced at the end, since
pods have no route from this machine.
"""

from __future__ import annotations

import base64
import copy
import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

import httpx
import yaml
from tests.support.cluster import ROOT
from tests.support.programs import program
from tests.support.servers import Server, free_port, wait_until

Json = dict[str, Any]
RULES: Final[Json] = yaml.safe_load(
    (ROOT / "charts" / "modelyard" / "files" / "rules.yaml").read_text(encoding="utf-8")
)
"""The alerts of the chart."""
_INTERVAL: Final = "1s"
_PORT_OF_ADDRESS: Final = r".*:(\d+)"


class Prometheus:
    """Context manager that runs Prometheus with scrape configurations and rules."""

    def __init__(self, folder: Path, jobs: list[Json], rules: Json) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        access = _Access(folder)
        config = {
            "global": {"scrape_interval": _INTERVAL, "evaluation_interval": _INTERVAL},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [access.through_api_server(job) for job in jobs],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._http = httpx.Client(base_url=self.url, timeout=20)
        self._server = Server(
            [
                program("prometheus"),
                "--config.file=prometheus.yml",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            port,
            folder,
        )

    def __enter__(self) -> Self:
        self._server.start()
        # Prometheus listens before it has read its configuration and its storage.
        wait_until(lambda: self._http.get("/-/ready").status_code == 200, lambda: "Prometheus is not ready")
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._server.kill()

    def query(self, expression: str) -> list[Json]:
        """Return the series of an instant query. Raises AssertionError if Prometheus rejects the query."""
        response = self._http.get("/api/v1/query", params={"query": expression})
        assert response.status_code == 200, f"{expression}: {response.text}"
        found: list[Json] = response.json()["data"]["result"]
        return [series for series in found if series["value"][1] not in {"NaN"}]

    def alerts(self) -> list[dict[str, str]]:
        """Return the labels of each alert that fires."""
        alerts = self._http.get("/api/v1/alerts").json()["data"]["alerts"]
        return [alert["labels"] for alert in alerts if alert["state"] == "firing"]

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {labels["alertname"] for labels in self.alerts()}

    def targets(self) -> list[Json]:
        """Return the active targets."""
        found: list[Json] = self._http.get("/api/v1/targets").json()["data"]["activeTargets"]
        return found


class _Access:
    """The API server and the credentials of the kubeconfig, as files for Prometheus."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        command = ["kubectl", "config", "view", "--raw", "--minify", "--flatten", "--output=json"]
        config = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._host = cluster["server"].removeprefix("https://")
        tls = {
            "ca_file": self._file("ca.crt", cluster["certificate-authority-data"]),
            "cert_file": self._file("tls.crt", user["client-certificate-data"]),
            "key_file": self._file("tls.key", user["client-key-data"]),
        }
        self._discovery = {"api_server": cluster["server"], "tls_config": tls}
        self._tls = tls

    def _file(self, name: str, encoded: str) -> str:
        path = self._folder / name
        path.write_bytes(base64.b64decode(encoded))
        return str(path)

    def through_api_server(self, job: Json) -> Json:
        """Return a job that finds its targets with the kubeconfig, and scrapes the API server's proxy."""
        job = copy.deepcopy(job)
        for discovery in job["kubernetes_sd_configs"]:
            discovery.update(self._discovery)
        path = "/api/v1/namespaces/$1/pods/$2:$3/proxy/metrics"
        source = ["__meta_kubernetes_namespace", "__meta_kubernetes_pod_name", "__address__"]
        job["relabel_configs"] += [
            {"source_labels": ["__address__"], "target_label": "instance"},
            {
                "source_labels": source,
                "regex": f"(.+);(.+);{_PORT_OF_ADDRESS}",
                "replacement": path,
                "target_label": "__metrics_path__",
            },
            {"target_label": "__address__", "replacement": self._host},
        ]
        return job | {"scheme": "https", "tls_config": self._tls}


def job_of_monitor(monitor: Json) -> Json:
    """Return the scrape configuration that the Prometheus operator makes of a PodMonitor or ServiceMonitor.

    https://github.com/prometheus-operator/prometheus-operator/blob/main/pkg/prometheus/promcfg.go
    """
    is_pods = monitor["kind"] == "PodMonitor"
    spec, metadata = monitor["spec"], monitor["metadata"]
    (endpoint,) = spec["podMetricsEndpoints" if is_pods else "endpoints"]
    namespaces = spec.get("namespaceSelector", {})
    names = [] if namespaces.get("any") else namespaces.get("matchNames", [metadata["namespace"]])
    role = "pod" if is_pods else "endpoints"
    discovery = {"role": role} | ({"namespaces": {"names": names}} if names else {})
    labels = "__meta_kubernetes_" + ("pod" if is_pods else "service")
    port = "pod_container_port_name" if is_pods else "endpoint_port_name"
    relabelings: list[Json] = [
        {"source_labels": [f"{labels}_label_{_escape(key)}"], "regex": value, "action": "keep"}
        for key, value in spec["selector"].get("matchLabels", {}).items()
    ]
    for expression in spec["selector"].get("matchExpressions", []):
        assert expression["operator"] == "Exists", "no other operator is translated here"
        present = f"{labels}_labelpresent_{_escape(expression['key'])}"
        relabelings.append({"source_labels": [present], "regex": "true", "action": "keep"})
    relabelings += [
        {"source_labels": [f"__meta_kubernetes_{port}"], "regex": endpoint["port"], "action": "keep"},
        {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "(Failed|Succeeded)", "action": "drop"},
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
        {"source_labels": ["__meta_kubernetes_pod_container_name"], "target_label": "container"},
    ]
    if not is_pods:
        relabelings.append({"source_labels": ["__meta_kubernetes_service_name"], "target_label": "service"})
    relabelings += [
        {_snake(key): value for key, value in relabeling.items()}
        for relabeling in endpoint.get("relabelings", [])
    ]
    return {
        "job_name": f"{monitor['kind']}/{metadata['namespace']}/{metadata['name']}",
        "honor_labels": endpoint.get("honorLabels", False),
        "kubernetes_sd_configs": [discovery],
        "relabel_configs": relabelings,
    }


def _escape(label: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in label)


def _snake(name: str) -> str:
    return "".join(f"_{character.lower()}" if character.isupper() else character for character in name)


def at_once(rules: Json, shorter: Mapping[str, tuple[str, str]] | None = None) -> Json:
    """Return a copy of alert rules that fire without a delay.

    `shorter` has a part of the expression of an alert, such as its window, and the text in its place. Raises
    AssertionError if an expression does not have the part.
    """
    rules = copy.deepcopy(rules)
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
            part, other = (shorter or {}).get(rule["alert"], ("", ""))
            assert part in rule["expr"], f"{rule['alert']}: {part} is not in {rule['expr']}"
            rule["expr"] = rule["expr"].replace(part, other) if part else rule["expr"]
    return rules


def until(probe: Callable[[], set[str]], what: str, seconds: float = 90) -> None:
    """Wait until `probe` returns nothing. Raises AssertionError with its last result after `seconds`."""
    end = time.monotonic() + seconds
    while missing := probe():
        assert time.monotonic() < end, f"{what}: {sorted(missing)}"
        time.sleep(0.5)
