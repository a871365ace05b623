"""The program that reads the load of the replicas, and serves the load as custom metrics of Kubernetes."""
