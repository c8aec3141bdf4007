"""The way to the provider: its client, its key, and a simulator that speaks its language."""
