"""Codec packets in, container bytes out: one file a container, and a door."""
