"""Grafana dashboards of the chart, written in the types of Grafana's own SDK."""
