"""Level-triggered reconciliation: a queue, what is known, and one ordered list of phases per kind."""
