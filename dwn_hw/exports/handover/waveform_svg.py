"""A picture of waves as SVG: no script, nothing loaded, no background, and ink that follows the page's light or dark."""

from __future__ import annotations

import html
from collections.abc import Iterator

from dwn_hw.exports.handover.handshake_waves import Picture, Wave

#: Pixels: of a clock, of a row, from a row's top to a signal's high and low, and how far an edge leans.
_WIDE, _ROW, _HIGH, _LOW, _LEAN = 44, 32, 7, 25, 3

_INK = {"light": ("#24292f", "#0a66c2", "#8a8f98"), "dark": ("#e6edf3", "#6cb6ff", "#8a8f98")}


def draw(picture: Picture) -> str:
    """The text of ``handshake.svg``."""
    left = 16 + 8 * max(len(wave.name) for wave in picture.waves)
    columns = max(len(wave.wave) for wave in picture.waves)
    below = len(picture.waves) * _ROW
    measured = _ROW if picture.measured else 0
    wide = max(left + columns * _WIDE, 8 * len(picture.caption)) + 12
    high = below + measured + 28
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" role="img">',
        f"<title>{_text(picture.caption)}</title>",
        f"<style>{_style()}</style>",
        *(f'<path class="g" d="M{left + i * _WIDE} 0V{below}"/>' for i in range(columns + 1)),
    ]
    for row, wave in enumerate(picture.waves):
        lines += [
            f'<g transform="translate({left} {row * _ROW})">',
            f'<text x="-8" y="20" class="n">{_text(wave.name)}</text>',
        ]
        lines += [*_row(wave), "</g>"]
    if picture.measured:
        lines += _measure(*picture.measured, left, below)
    lines += [f'<text x="8" y="{high - 8}" class="c">{_text(picture.caption)}</text>', "</svg>", ""]
    return "\n".join(lines)


def _style() -> str:
    def inks(ink: str, bus: str, grid: str) -> str:
        return (
            f".w{{stroke:{ink}}}.g{{stroke:{grid}}}text{{fill:{ink}}}.b{{stroke:{bus};fill:{bus}}}"
            f".u{{stroke:{grid};fill:{grid}}}.m{{stroke:{bus}}}.l{{fill:{bus}}}"
        )

    fixed = (
        "text{font:12px ui-monospace,Menlo,Consolas,monospace}.n{text-anchor:end}.v{text-anchor:middle}"
        ".l{text-anchor:middle}.w,.m{fill:none;stroke-width:1.5}.g{stroke-width:.5;stroke-dasharray:2 3;stroke-opacity:.7}"
        ".b{fill-opacity:.15;stroke-width:1.5}.u{fill-opacity:.25;stroke-opacity:.6}"
    )
    return f"{fixed}{inks(*_INK['light'])}.l{{fill:{_INK['light'][1]}}}@media(prefers-color-scheme:dark){{{inks(*_INK['dark'])}}}"


def _runs(wave: Wave) -> Iterator[tuple[str, int, int]]:
    """What is drawn in one piece: its character, its first column, the one behind it."""
    start = 0
    for i in range(1, len(wave.wave) + 1):
        if i == len(wave.wave) or wave.wave[i] not in ".|":
            yield wave.wave[start], start, i
            start = i


def _row(wave: Wave) -> list[str]:
    """A row: one line for bits, a shape for each value of a bus, and breaks."""
    labels, lines, path, before = iter(wave.data), [], "", ""
    breaks = {i for i, char in enumerate(wave.wave) if char == "|"}
    for kind, start, end in _runs(wave):
        a, b = start * _WIDE, end * _WIDE
        if kind == "p":
            path += "".join(_pulse(column) for column in range(start, end) if wave.wave[column] != "|")
        elif kind in "01":
            level = _HIGH if kind == "1" else _LOW
            path += f"M{a} {level}H{b}" + (f"M{a} {_HIGH}V{_LOW}" if before and before in "01" else "")
        else:
            lines.append(f'<path class="{"b" if kind == "=" else "u"}" d="{_bus(a, b)}"/>')
            if kind == "=":
                label = next(labels)
                lines.append(f'<text x="{(a + b) // 2}" y="20" class="v">{_text(label)}</text>')
                breaks -= set(range(start, end)) if label == "…" else set()
        before = kind
    lines += [f'<path class="w" d="{path}"/>'] if path else []
    return lines + [f'<text x="{i * _WIDE + _WIDE // 2}" y="20" class="v">⋯</text>' for i in sorted(breaks)]


def _pulse(column: int) -> str:
    a = column * _WIDE
    return f"M{a} {_LOW}V{_HIGH}H{a + _WIDE // 2}V{_LOW}H{a + _WIDE}"


def _bus(a: int, b: int) -> str:
    middle = (_HIGH + _LOW) // 2
    return f"M{a} {middle}L{a + _LEAN} {_HIGH}H{b - _LEAN}L{b} {middle}L{b - _LEAN} {_LOW}H{a + _LEAN}Z"


def _measure(start: int, end: int, words: str, left: int, top: int) -> list[str]:
    """An arrow from a clock to a clock, below all rows."""
    a, b, y = left + start * _WIDE, left + end * _WIDE, top + 10
    heads = f"M{a + 5} {y - 4}L{a} {y}L{a + 5} {y + 4}M{b - 5} {y - 4}L{b} {y}L{b - 5} {y + 4}"
    return [
        f'<path class="m" d="M{a} {top}V{y + 6}M{b} {top}V{y + 6}M{a} {y}H{b}{heads}"/>',
        f'<text x="{(a + b) // 2}" y="{y + 17}" class="l">{_text(words)}</text>',
    ]


def _text(text: str) -> str:
    return html.escape(text)
