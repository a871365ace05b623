"""The only code that knows kopf: `events` for the four kinds, `lifecycle` for start and stop.

The handlers get the controller from kopf's memo: https://docs.kopf.dev/en/stable/memos/.
"""
