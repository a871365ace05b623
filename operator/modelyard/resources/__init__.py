"""Pure builders: functions that return the Kubernetes objects the operator creates."""
