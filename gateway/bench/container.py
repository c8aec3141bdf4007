"""What packing adds to the delay: a packet goes in, and its bytes are looked for in what comes out.

Invariant: a packet counts as out when all its bytes are. Nothing here is a matter of time, so one song is enough, and
the figures are the same on every machine.
It must not know how containers are laid out.
"""

from collections.abc import Sequence

from gateway.bench.codecs import CODECS
from gateway.bench.report import Row
from gateway.bench.song import Song
from transcode.converter import Converter
from transcode.formats import FORMATS, Format
from transcode.packager.door import packager
from transcode.packet import CodecConfig, Packet
from transcode.transcoder import Transcoder

FRAGMENT_MS = 250.0


def measure(song: Song) -> list[Row]:
    """How many packets the packager of each format holds back, and how long the chunks of fMP4 are."""
    rows = []
    for name, form in FORMATS.items():
        packets, config = _packets(song, form)
        rows.append(Row(name, held(form, config, packets), "packets", 0.0, "held by the packager", digits=0))
    for name in ("mp4", "ogg"):
        longest = chunk_ms(song, FORMATS[name])
        what = f"the longest {'fragment' if name == 'mp4' else 'chunk'} of a converter"
        rows.append(Row(f"{name} chunk", longest, "ms", FRAGMENT_MS, what, digits=0))
    return rows


def held(form: Format, config: CodecConfig, packets: Sequence[Packet]) -> int:
    """The most packets that went in behind one before it was out."""
    made, out, most, waiting = packager(form, config), b"", 0, 0
    oldest = 0
    for number, packet in enumerate(packets):
        out += made.pack([packet])
        while oldest <= number and (at := out.find(packets[oldest].data)) >= 0:
            out = out[at + len(packets[oldest].data) :]
            oldest += 1
        waiting = number + 1 - oldest
        most = max(most, waiting)
    return most


def chunk_ms(song: Song, form: Format) -> float:
    """How long the longest chunk is that a converter makes."""
    spec = CODECS[form.codec]
    converter = Converter(form, spec)
    chunks = [chunk for step in song.steps(song.frame_seconds) for chunk in converter.feed(step)]
    converter.close()
    return max((chunk.duration for chunk in chunks), default=0) / spec.sample_rate * 1e3


def _packets(song: Song, form: Format) -> tuple[list[Packet], CodecConfig]:
    transcoder = Transcoder(CODECS[form.codec])
    packets = [packet for step in song.steps(song.frame_seconds) for packet in transcoder.feed(step)]
    packets += transcoder.flush()
    assert transcoder.config is not None, "it is known with the first packet"
    return packets, transcoder.config
