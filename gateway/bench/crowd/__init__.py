"""The load generator: very many listeners in one process, each of whose bytes is checked."""
