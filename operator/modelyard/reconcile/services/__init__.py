"""Parts of the reconciler of Services, in order: image, children, rollout, status."""
