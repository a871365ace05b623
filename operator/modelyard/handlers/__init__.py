"""The only code with kopf decorators: each handler passes one thing on."""
