"""The Open Inference Protocol: the real clients, and kserve's server as the peer.

`checks` starts the servers. `clients` and `kserve_model` run in an environment with kserve and tritonclient.
"""
