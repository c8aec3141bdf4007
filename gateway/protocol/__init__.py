"""The wire languages, sans-I/O: bytes in, events out, and back."""
