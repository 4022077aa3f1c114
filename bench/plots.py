"""Bars and lines as SVG, written by hand: no plotting library for two shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

WIDTH: Final = 760
_LEFT, _RIGHT, _TOP, _ROW = 260, 80, 56, 30
_LABELS: Final = 8
"""Of the horizontal axis, at most."""
_COLOURS: Final = ("#2563a8", "#d98032", "#4a9a5b", "#8a5aa8", "#b5413c", "#6b7280")


def bars(title: str, unit: str, values: Mapping[str, Sequence[float]], parts: Sequence[str] = ()) -> str:
    """Horizontal bars, each of one or more parts laid end to end."""
    most = max(sum(each) for each in values.values()) or 1.0
    scale = (WIDTH - _LEFT - _RIGHT) / most
    drawn = [_legend(parts)]
    for row, (name, each) in enumerate(values.items()):
        top, start = _TOP + row * _ROW, float(_LEFT)
        drawn.append(_label(_LEFT - 8, top + 15, name, anchor="end"))
        for place, value in enumerate(each):
            width = value * scale
            drawn.append(
                f'<rect x="{start:.1f}" y="{top}" width="{width:.1f}" height="20" fill="{_COLOURS[place % 6]}"/>'
            )
            start += width
        total = sum(each)
        drawn.append(_label(start + 6, top + 15, f"{total:,.0f} {unit}" if total >= 10 else f"{total:.2f} {unit}"))
    return _svg(title, _TOP + len(values) * _ROW + 12, drawn)


def lines(
    title: str, axes: tuple[str, str], series: Mapping[str, Sequence[tuple[float, float]]], *, logarithmic: bool = False
) -> str:
    """Lines from zero upwards; the horizontal axis may be logarithmic."""
    height, left, bottom = 320, 70, 270
    points = [point for each in series.values() for point in each]
    most = max(y for _, y in points) * 1.1 or 1.0
    low, high = min(_at(x, logarithmic) for x, _ in points), max(_at(x, logarithmic) for x, _ in points)
    span = (high - low) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        across = left + (_at(x, logarithmic) - low) / span * (WIDTH - left - 40)
        return across, bottom - y / most * (bottom - _TOP)

    drawn = [_legend(tuple(series)), _label(left, height - 8, axes[0]), _label(12, _TOP - 8, axes[1])]
    for part in range(5):
        y = most * part / 4
        across, down = left, bottom - (bottom - _TOP) * part / 4
        drawn.append(f'<path d="M{across} {down:.1f}H{WIDTH - 40}" stroke="#ddd"/>')
        drawn.append(_label(left - 6, down + 4, f"{y:,.0f}" if most >= 10 else f"{y:.2f}", anchor="end"))
    for x in _few(sorted({x for x, _ in points})):
        drawn.append(_label(place(x, 0)[0], bottom + 18, f"{x:,.0f}", anchor="middle"))
    for number, each in enumerate(series.values()):
        route = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in each))
        colour = _COLOURS[number % 6]
        drawn.append(f'<polyline points="{route}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in (place(*point) for point in each)
        ]
    return _svg(title, height, drawn)


def _few(places: Sequence[float]) -> list[float]:
    """So many that their labels have room, the last among them."""
    step = -(-len(places) // _LABELS)
    return list(places[::-1][::step])


def _at(x: float, logarithmic: bool) -> float:
    return math.log10(max(x, 1e-9)) if logarithmic else x


def _legend(names: Sequence[str]) -> str:
    return "".join(
        f'<rect x="{_LEFT + place * 150}" y="34" width="10" height="10" fill="{_COLOURS[place % 6]}"/>'
        + _label(_LEFT + place * 150 + 15, 43, name)
        for place, name in enumerate(names)
    )


def _label(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, height: int, drawn: Sequence[str]) -> str:
    body = "\n".join(each for each in drawn if each)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n'
        f'<text x="16" y="22" font-size="15">{escape(title)}</text>\n{body}\n</svg>\n'
    )
