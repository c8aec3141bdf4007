"""Wavegate: a real-time streaming audio relay gateway. README.md in this folder is the tour."""

__version__ = "0.1.0"
