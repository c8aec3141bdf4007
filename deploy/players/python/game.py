"""A game with a song from Wavegate, in pygame: the smallest whole example. Space pauses, Escape leaves.

How to use it (needs `pip install pygame-ce websockets`, and wavegate_pcm.py beside it):

    python ticket_server.py &                                   # the game's own server: it holds the key
    python game.py https://music.example STREAM_ID http://127.0.0.1:8090/ticket [LEAD_SECONDS]

The mixer goes on with the queued piece at the very sample where one ends, in the middle of a buffer if need be: as long
as there always is one, nothing is lost between two of them.
"""

import json
import sys
import threading
import time
import urllib.request
from functools import partial

import pygame
from wavegate_pcm import WavegateStream

RATE, CHANNELS, BUFFER = 48000, 2, 1024  # BUFFER in samples: 21 ms
PIECE_BYTES = RATE // 3 * CHANNELS * 2  # a third of a second, and as early is the next one asked for


class Music(threading.Thread):
    """Keeps one piece queued behind the one that plays. A thread, so that a slow frame of the game stops no music."""

    def __init__(self, stream: WavegateStream) -> None:
        super().__init__(name="music", daemon=True)
        self.stream = stream
        self.channel = pygame.mixer.Channel(0)
        pygame.mixer.set_reserved(1)  # the game's effects take the other channels
        self.played = 0.0

    def run(self) -> None:
        while not self.stream.exhausted:
            if self.channel.get_queue() is None and (sound := self.stream.read(PIECE_BYTES)):
                self.played += len(sound) / (RATE * CHANNELS * 2)
                self.channel.queue(pygame.mixer.Sound(buffer=sound.ljust(PIECE_BYTES, b"\0")))
            else:
                time.sleep(0.005)
        while self.channel.get_busy():
            time.sleep(0.01)


def ticket_from(url: str, stream_id: str) -> str:
    """Asks the game's own server, which knows the player and holds the key."""
    request = urllib.request.Request(url, json.dumps({"stream_id": stream_id}).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        ticket: str = json.load(answer)["ticket"]
    return ticket


def main(server: str, stream_id: str, tickets: str, lead: str = "0.5") -> int:
    pygame.mixer.init(RATE, -16, CHANNELS, BUFFER, allowedchanges=0)
    pygame.display.init()
    screen = pygame.display.set_mode((480, 120))
    ticket = partial(ticket_from, tickets, stream_id)
    stream = WavegateStream(server, stream_id, ticket, sample_rate=RATE, channels=CHANNELS, lead=float(lead))
    stream.start()
    music = Music(stream)
    music.start()
    clock, paused = pygame.time.Clock(), False
    while music.is_alive():
        for event in pygame.event.get():
            if event.type == pygame.QUIT or (event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE):
                stream.close()
                music.channel.stop()
            elif event.type == pygame.KEYDOWN and event.key == pygame.K_SPACE:
                paused = not paused
                (music.channel.pause if paused else music.channel.unpause)()
        screen.fill((16, 18, 24))
        pygame.draw.rect(screen, (60, 66, 80), (20, 50, 88 * stream.buffered, 20))
        pygame.draw.circle(screen, (240, 180, 60), (20 + int(music.played * 20) % 440, 60), 8)
        pygame.display.flip()
        pygame.display.set_caption(f"{stream.state}, {music.played:.0f} s, {stream.reconnects} reconnects")
        clock.tick(60)
    pygame.quit()
    print(
        f"{stream.state}, {music.played:.2f} s, verified {stream.verified}, {stream.reconnects} reconnects, "
        f"{stream.gaps} gaps, {stream.underruns} underruns" + (f", {stream.failure}" if stream.failure else "")
    )
    return 0 if stream.state in ("completed", "closed") else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
