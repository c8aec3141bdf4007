"""What is encoded where one encode of each codec is looked at: the usual settings for a song of 48 kHz in stereo.

Invariant: one row for each codec that there is.
It must not know what is measured.
"""

from transcode.spec import EncoderSpec

CODECS: dict[str, EncoderSpec] = {
    "opus": EncoderSpec("opus", 48000, 2, 96_000),
    "aac": EncoderSpec("aac", 48000, 2, 128_000),
    "mp3": EncoderSpec("mp3", 48000, 2, 128_000),
    "flac": EncoderSpec("flac", 48000, 2, None),
    "pcm": EncoderSpec("pcm", 48000, 2, None),
}
OPUS = CODECS["opus"]
