"""Valid and invalid manifests, on which the API types and the API server must give the same verdict."""
