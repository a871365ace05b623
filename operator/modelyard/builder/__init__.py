"""The program of a build Job: it fetches, unpacks, builds and pushes one image for a `BuildRequest`.

The program does not use the Kubernetes API.
"""
