"""The HLS door: a song as a playlist and segments, for players that fetch instead of listening."""
