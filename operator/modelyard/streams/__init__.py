"""Streams of bytes: content readable from an offset, range requests, prefetching, and the httpx transport."""
