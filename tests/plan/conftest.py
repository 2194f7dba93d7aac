"""Examples enough for properties of small texts and graphs; a loaded machine must not fail them by its slowness."""

from hypothesis import settings

settings.register_profile("plan", deadline=None, max_examples=60)
settings.load_profile("plan")
