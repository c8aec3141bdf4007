"""Redis or Valkey, as every adapter on it reaches it."""
