"""A small client of the Kubernetes API: raw JSON, bounded time and retries. It knows no kind of Modelyard."""
