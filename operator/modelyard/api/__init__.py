"""The API: pydantic types of the four kinds, their validation rules, and the CRDs generated from them."""
