"""The heart: streams, renditions, channels and listeners. It knows no socket, no codec library and no Redis."""
