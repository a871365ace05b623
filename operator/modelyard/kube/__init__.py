"""The Kubernetes API as the operator needs it: few calls, raw JSON, bounded time and retries."""
