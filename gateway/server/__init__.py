"""The doors: WebSocket, REST, progressive HTTP, the player page, and the internal port."""
