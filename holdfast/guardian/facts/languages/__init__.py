"""Readers of languages that hide inside arguments."""
