"""Requests to replicas of Services for their load."""
