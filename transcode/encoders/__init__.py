"""One file for each codec that can be made; `transcode.encoder` is the door."""
