"""Pure builders: what is wanted in, a Kubernetes object out."""
