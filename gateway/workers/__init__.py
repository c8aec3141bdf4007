"""Several processes as one gateway: a supervisor, its places, and a worker's end of the line to it."""
