"""The REST API of 2017 over the custom resources of the cluster.

The gateway is stateless and has no rights: it sends each call to the API server with the caller's own token.
"""
