"""`spec.pod` of a Service: settings of its pods, with the names and shapes of Kubernetes."""
