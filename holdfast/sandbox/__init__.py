"""What a sandbox must do, decided in pure code; adapters below `holdfast.adapters` do it.

Nothing here starts a process or opens a file. The launcher of the bubblewrap backend imports this package in a bare
interpreter, so it stands on the standard library; only `port` and `answer` know the pydantic models.
"""
