"""The other nodes of this gateway, met in Redis: who lives, who owns what, letters between them, and logs to follow."""
