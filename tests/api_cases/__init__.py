"""Manifests, good and bad, that the types and the API server must judge alike."""
