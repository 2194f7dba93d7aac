"""Embedders: the bundled MiniLM in numpy, and any OpenAI-compatible endpoint."""
