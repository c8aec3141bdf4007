"""What the words ask for: style, energy, tempo, mode and instruments.

Simple words of the text (English and Chinese) push the mood; everything they leave open is drawn from the text's own
hash, so two texts practically never get the same song and one text always does.
Invariant: a pure function of its arguments. It must not know notes, sections or sound.
"""

import hashlib
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Style(StrEnum):
    POP = "pop"
    ROCK = "rock"
    LOFI = "lo-fi"
    ELECTRONIC = "electronic"
    BALLAD = "ballad"
    FOLK = "folk"
    JAZZ = "jazz"
    AMBIENT = "ambient"
    CLASSICAL = "classical"
    ORIENTAL = "oriental"
    CHIP = "chip"


@dataclass(frozen=True, slots=True)
class Mood:
    """`energy` runs 0..1, `tempo` is in beats a minute, `tonic` is a pitch class, `colour` a keys sound asked for."""

    style: Style
    energy: float
    tempo: float
    mode: str
    tonic: int
    colour: str | None
    seed: int

    def dice(self, purpose: str) -> random.Random:
        """Random draws for one purpose, independent of how many draws any other purpose makes."""
        digest = hashlib.sha256(f"{self.seed}/{purpose}".encode()).digest()
        return random.Random(int.from_bytes(digest[:8]))  # noqa: S311 - music, not secrets


# Beats a minute and resting energy of each style.
_STYLES: dict[Style, tuple[float, float, float]] = {
    Style.POP: (98, 122, 0.62),
    Style.ROCK: (112, 138, 0.8),
    Style.LOFI: (72, 86, 0.38),
    Style.ELECTRONIC: (114, 126, 0.75),
    Style.BALLAD: (68, 80, 0.4),
    Style.FOLK: (92, 112, 0.5),
    Style.JAZZ: (92, 120, 0.5),
    Style.AMBIENT: (60, 70, 0.2),
    Style.CLASSICAL: (76, 96, 0.4),
    Style.ORIENTAL: (72, 92, 0.42),
    Style.CHIP: (120, 144, 0.75),
}

_STYLE_WORDS: tuple[tuple[Style, tuple[str, ...]], ...] = (
    (Style.LOFI, ("lofi", "lo-fi", "lo fi", "chillhop", "study", "低保真", "学习")),
    (Style.CHIP, ("8-bit", "8bit", "chiptune", "arcade", "pixel", "像素", "游戏")),
    (Style.ORIENTAL, ("oriental", "guzheng", "erhu", "chinese", "中国风", "古风", "国风", "古筝", "二胡", "江南")),
    (Style.JAZZ, ("jazz", "swing", "bossa", "blues", "saxophone", "爵士", "蓝调")),
    (Style.CLASSICAL, ("classical", "orchestra", "baroque", "waltz", "symphon", "古典", "交响")),
    (Style.AMBIENT, ("ambient", "meditat", "sleep", "space", "drone", "冥想", "睡眠", "氛围", "太空")),
    (Style.ELECTRONIC, ("electronic", "edm", "techno", "house", "dance", "synth", "电子", "舞曲")),
    (Style.ROCK, ("rock", "punk", "metal", "摇滚", "朋克")),
    (Style.FOLK, ("folk", "acoustic", "country", "campfire", "民谣", "乡村")),
    (Style.BALLAD, ("ballad", "love song", "lullaby", "抒情", "情歌", "摇篮曲")),
    (Style.POP, ("pop", "流行")),
)
# What words add to the energy and to the brightness (below zero asks for minor).
_PUSHES: tuple[tuple[float, float, str], ...] = (
    (-0.3, 0.0, "calm quiet gentle soft peace relax slow dream 安静 平静 宁静 舒缓 温柔 轻柔 慢 治愈"),
    (0.3, 0.1, "fast energetic power epic drive party run 激昂 热血 快节奏 动感 燃 跑步"),
    (0.2, 0.8, "happy joy cheer bright sunny upbeat fun summer 欢快 快乐 开心 阳光 夏天 明快"),
    (-0.2, -0.9, "sad melanchol lonely tear cry goodbye 悲伤 忧伤 伤感 孤独 眼泪 离别 难过"),
    (-0.1, -0.5, "dark night rain winter mysterious shadow 黑暗 夜 雨 冬 神秘"),
    (0.0, 0.5, "warm hope love home morning spring 温暖 希望 爱 春 清晨 家"),
)
_COLOURS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("piano", ("piano", "钢琴")),
    ("guitar", ("guitar", "吉他", "ukulele", "尤克里里")),
    ("bell", ("bell", "music box", "celesta", "八音盒", "风铃")),
    ("zither", ("guzheng", "harp", "koto", "古筝", "竖琴", "琵琶")),
    ("electric piano", ("rhodes", "electric piano", "电钢琴")),
)


def mood_of(text: str) -> Mood:
    """Reads the mood of a text of any length; an empty one has a mood as well."""
    lower = text.lower()
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    draw = random.Random(seed)  # noqa: S311 - music, not secrets
    hits = [(energy, bright) for energy, bright, words in _PUSHES if _says(lower, words.split())]
    push = sum(energy for energy, _ in hits)
    brightness = sum(bright for _, bright in hits) + draw.uniform(-0.45, 0.55)
    style = next((style for style, words in _STYLE_WORDS if _says(lower, words)), None)
    style = style or _style_for(push, draw)
    slowest, fastest, resting = _STYLES[style]
    energy = min(1.0, max(0.1, resting + push * 0.6 + draw.uniform(-0.08, 0.08)))
    tempo = draw.uniform(slowest, fastest) * (1 + 0.25 * max(-1.0, min(1.0, push)))
    return Mood(
        style=style,
        energy=energy,
        tempo=round(max(56.0, min(156.0, tempo)), 1),
        mode=_mode(style, brightness, draw),
        tonic=draw.randrange(12),
        colour=next((colour for colour, words in _COLOURS if _says(lower, words)), None),
        seed=seed,
    )


def _says(text: str, words: Iterable[str]) -> bool:
    """Whether a word of the text begins with one of these; Chinese has no borders to begin at."""
    return any(re.search(rf"\b{re.escape(word)}" if word.isascii() else word, text) for word in words)


def _style_for(push: float, draw: random.Random) -> Style:
    if push < -0.1:
        return draw.choice((Style.LOFI, Style.BALLAD, Style.AMBIENT, Style.CLASSICAL, Style.FOLK))
    if push > 0.15:
        return draw.choice((Style.POP, Style.ROCK, Style.ELECTRONIC, Style.POP, Style.FOLK))
    return draw.choice((Style.POP, Style.LOFI, Style.ELECTRONIC, Style.BALLAD, Style.FOLK, Style.JAZZ, Style.POP))


def _mode(style: Style, brightness: float, draw: random.Random) -> str:
    if style is Style.ROCK and 0 <= brightness < 0.5:
        return "mixolydian"
    if style in (Style.LOFI, Style.JAZZ) and -0.6 < brightness < 0:
        return "dorian"
    return "major" if brightness >= 0 else draw.choice(("minor", "minor", "dorian"))
