"""Builds one image from a `BuildRequest`: fetch, unpack, build, push. Knows nothing of Kubernetes."""
