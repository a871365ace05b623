"""The REST API of 2017 over the cluster's own objects.

Stateless, and without rights: each call is passed to the API server with the caller's own token.
"""
