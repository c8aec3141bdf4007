"""The music room: words in, a score, and from the score samples. Pure and synchronous, and it knows no network."""
