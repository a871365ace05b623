"""The API: pydantic types of the four kinds, their rules, and the CRDs generated from them."""
