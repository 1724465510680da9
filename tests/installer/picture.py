"""The benchmark's ratios as a picture: one line for each measure, with its range, over the number of packages."""

import math
import statistics

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 400, 64, 40, 150, 56
COLORS = {"wall": "#1f77b4", "processor": "#d62728", "memory": "#2ca02c"}
TITLE = "bootagent's installer against npm ci: share of npm's cost"


def svg(lines: list[dict], measures: dict[str, str]) -> str:
    counts = [line["packages"] for line in lines]
    low, high = math.log(min(counts)), math.log(max(counts))
    highest = max(value for line in lines for values in line["ratios"].values() for value in values)
    top = math.ceil(highest * 10) / 10

    def x(count):
        return LEFT + (math.log(count) - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT)

    def y(ratio):
        return HEIGHT - BOTTOM - ratio / top * (HEIGHT - TOP - BOTTOM)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
        f"<title>{TITLE}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{TITLE}</text>',
    ]
    for step in range(int(top * 10) + 1):
        out.append(f'<path d="M{LEFT} {y(step / 10):.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y(step / 10) + 4:.1f}" text-anchor="end">{step / 10:.1f}</text>')
    for count in counts:
        out.append(f'<text x="{x(count):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{count}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">packages in the lockfile</text>')
    for name, text in measures.items():
        points = [(x(line["packages"]), [y(value) for value in line["ratios"][name]]) for line in lines]
        middle = [(at, statistics.median(values)) for at, values in points]
        path = "L".join(f"{at:.1f} {value:.1f}" for at, value in middle)
        out.append(f'<path d="M{path}" fill="none" stroke="{COLORS[name]}" stroke-width="2"/>')
        out += [f'<path d="M{at:.1f} {min(values):.1f}V{max(values):.1f}" stroke="{COLORS[name]}"/>' for at, values in points]
        out.append(f'<text x="{middle[-1][0] + 10:.1f}" y="{middle[-1][1] + 4:.1f}" fill="{COLORS[name]}">{text}</text>')
    return "\n".join([*out, "</svg>", ""])
