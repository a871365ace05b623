"""Data collection in the front: each answered request becomes a record of the spool."""
