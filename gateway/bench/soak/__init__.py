"""The long load test: everything that clients, the provider and an operator do, at once, and what is left of it."""
