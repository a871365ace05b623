"""Attestations of an image: its bill of materials, its provenance, and signatures of both."""
