#!/usr/bin/env python3
"""Draws a diagram from its JSON: as SVG for the documents, and as a file that draw.io opens.

Usage: draw.py NAME    (reads NAME.json here, writes NAME.svg and NAME.drawio)

A box has an id, a text, a kind and its place: x, y, width and height in pixels. An arrow goes from box to box."""

import json
import sys
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Kind: fill, border, whether its text stands at its top.
KINDS = {
    "area": ("#f7f8fa", "#9aa4b2", True),
    "aws": ("#fff3e0", "#d98200", False),
    "group": ("#e3f0fb", "#2b73b5", False),
    "agent": ("#e4f5e9", "#2e8b57", False),
    "service": ("#d3ecdb", "#1d6b40", False),
    "outside": ("#ffffff", "#5b6573", False),
}
LINE = 16


def border(box: dict, towards: tuple[float, float]) -> tuple[float, float]:
    """Where the line from the middle of a box towards a point leaves the box."""
    x, y, width, height = box["at"]
    middle = (x + width / 2, y + height / 2)
    dx, dy = towards[0] - middle[0], towards[1] - middle[1]
    part = min(width / 2 / abs(dx) if dx else 1e9, height / 2 / abs(dy) if dy else 1e9)
    return middle[0] + dx * part, middle[1] + dy * part


def middle(box: dict) -> tuple[float, float]:
    x, y, width, height = box["at"]
    return x + width / 2, y + height / 2


def svg(diagram: dict) -> str:
    boxes = {box["id"]: box for box in diagram["boxes"]}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {diagram["width"]} {diagram["height"]}" role="img"'
        f' font-family="sans-serif" font-size="13"><title>{escape(diagram["title"])}</title>',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#3c4654"/></marker></defs>',
        f'<rect width="{diagram["width"]}" height="{diagram["height"]}" fill="#ffffff"/>',
    ]
    for box in diagram["boxes"]:
        x, y, width, height = box["at"]
        fill, stroke, top = KINDS[box["kind"]]
        parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" stroke="{stroke}"/>')
        lines = box["text"].split("\n")
        first = y + 18 if top else y + height / 2 - (len(lines) - 1) * LINE / 2 + 4.5
        place, anchor = (x + 10, "start") if top else (x + width / 2, "middle")
        for number, line in enumerate(lines):
            parts.append(f'<text x="{place:g}" y="{first + number * LINE:g}" text-anchor="{anchor}">{escape(line)}</text>')
    for arrow in diagram["arrows"]:
        source, target = boxes[arrow["from"]], boxes[arrow["to"]]
        (x1, y1), (x2, y2) = border(source, middle(target)), border(target, middle(source))
        parts.append(f'<path d="M{x1:.0f} {y1:.0f}L{x2:.0f} {y2:.0f}" stroke="#3c4654" fill="none" marker-end="url(#head)"/>')
        if "text" in arrow:
            x, y = (x1 + x2) / 2, (y1 + y2) / 2 - 5
            # White below the text, so that the arrow does not cross it.
            for style in (' stroke="#ffffff" stroke-width="4"', ""):
                parts.append(
                    f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" font-size="11"{style}>{escape(arrow["text"])}</text>'
                )
    return "\n".join([*parts, "</svg>", ""])


def drawio(diagram: dict) -> str:
    cells = ['<mxCell id="0"/>', '<mxCell id="1" parent="0"/>']
    for box in diagram["boxes"]:
        x, y, width, height = box["at"]
        fill, stroke, top = KINDS[box["kind"]]
        style = f"rounded=1;arcSize=6;whiteSpace=wrap;fillColor={fill};strokeColor={stroke};"
        style += "verticalAlign=top;align=left;spacingLeft=6;" if top else ""
        text = escape(box["text"]).replace("\n", "&#10;")
        cells.append(
            f'<mxCell id="{box["id"]}" value="{text}" style="{style}" vertex="1" parent="1">'
            f'<mxGeometry x="{x}" y="{y}" width="{width}" height="{height}" as="geometry"/></mxCell>'
        )
    for number, arrow in enumerate(diagram["arrows"]):
        cells.append(
            f'<mxCell id="arrow{number}" value="{escape(arrow.get("text", ""))}" edge="1" parent="1"'
            f' source="{arrow["from"]}" target="{arrow["to"]}"><mxGeometry relative="1" as="geometry"/></mxCell>'
        )
    body = "\n".join(cells)
    size = f'pageWidth="{diagram["width"]}" pageHeight="{diagram["height"]}"'
    return (
        f'<mxfile><diagram name="{escape(diagram["title"])}"><mxGraphModel {size}><root>\n{body}\n'
        "</root></mxGraphModel></diagram></mxfile>\n"
    )


def drawings(name: str) -> dict[str, str]:
    """Each file that belongs to a diagram, with its text."""
    diagram = json.loads((HERE / f"{name}.json").read_text())
    return {f"{name}.svg": svg(diagram), f"{name}.drawio": drawio(diagram)}


if __name__ == "__main__":
    for file, text in drawings(sys.argv[1]).items():
        (HERE / file).write_text(text)
