"""Seeded damage to files: bytes of any file, words and structure of texts, values of JSON."""

from __future__ import annotations

import json
import random
import re

from tests.support.mutations import mutated

MARK = "canary"
"""Every hostile word that a shell would run, or a path that it would be, holds this word."""

HOSTILE_NAMES = (
    *(f"../../{MARK}", f"/tmp/{MARK}", f"~root/{MARK}", f"..\\{MARK}", ".", "..", "-rf", "--help"),
    *(f"$(touch {MARK})", f"`touch {MARK}`", f"; touch {MARK};", f"| touch {MARK}", f"&{MARK}"),
    *(f"<script>{MARK}()</script>", f"</script><img src=x onerror={MARK}()>", "<!--", "]]>"),
    *(f"\n# {MARK}\n", "a\rb", "\x1b[2J", "\x00", "\u202e", "\ufeff", "\u2028", "%s%n", "{0}"),
    *("'", '"', "\\", "con", "*", "é" * 300, "x" * 100_000, "😀", "${HOME}", "{{7*7}}", "#"),
)

ODD_NUMBERS = (
    *("-1", "0", "-0.0", "1e400", "-1e308", "5e-324", "nan", "NaN", "Infinity", "-inf", "0x10"),
    *("1" + "0" * 30, "9" * 5000, "1.5", "true", "null", "1_000", "½", "٣", "2026-13-45T99:99"),
)

STRUCTURE: tuple[str, ...] = (
    *"[]{}(),:;=\"'#>|\t\n\r \0",
    "[]",
    "{}",
    '"""',
    "[[",
    "[" * 5000,
    '{"a":' * 5000,
)

_WORD = re.compile(r'"[^"\n]*"|[\w.+-]+')


def damaged_bytes(data: bytes, chance: random.Random) -> bytes:
    """Damage a file at one place, more often near its beginning, where headers are."""
    damaged = bytearray(data)
    place = _place(len(data), chance)
    match chance.randrange(8):
        case 0:
            damaged[place] ^= 1 << chance.randrange(8)
        case 1:
            del damaged[place:]
        case 2:
            length = chance.choice([1, 4, 64, 512])
            damaged[place : place + length] = bytes([chance.choice([0, 255])]) * length
        case 3:
            damaged[place : place + 8] = chance.randbytes(8)
        case 4:
            damaged[place:place] = chance.randbytes(chance.choice([1, 8]))
        case 5:
            length = chance.choice([16, 512, 4096])
            damaged[place:place] = damaged[place : place + length]
        case 6:
            del damaged[place : place + chance.choice([1, 7, 300])]
        case _:
            other = _place(len(data), chance)
            length = chance.choice([4, 64])
            block, swapped = data[place : place + length], data[other : other + length]
            damaged[place : place + len(swapped)] = swapped
            damaged[other : other + len(block)] = block
    return bytes(damaged)


def _place(length: int, chance: random.Random) -> int:
    if chance.random() < 0.5:
        return chance.randrange(length)
    return min(length - 1, int(chance.expovariate(1 / 3000)))


def damaged_text(data: bytes, chance: random.Random) -> bytes:
    """Damage a text at one or two places, and at times its encoding or single bytes of it."""
    text = data.decode()
    for _ in range(chance.choice([1, 1, 2])):
        text = _damaged_words(text, chance)
    match chance.randrange(14):
        case 0:
            return text.encode("utf-16", "surrogatepass")
        case 1:
            return b"\xef\xbb\xbf" + text.encode()
        case 2:
            return text.replace("\n", "\r\n").encode()
        case 3:
            return text.encode("latin-1", "replace") + b"\xe9\xff"
        case 4:
            return damaged_bytes(text.encode() or b"\0", chance)
    return text.encode()


def _damaged_words(text: str, chance: random.Random) -> str:
    words = [found.span() for found in _WORD.finditer(text)]
    if not words:
        return text + chance.choice(STRUCTURE)
    begin, end = chance.choice(words)
    match chance.randrange(8):
        case 0:
            return text[:begin] + json.dumps(chance.choice(HOSTILE_NAMES)) + text[end:]
        case 1:
            return text[:begin] + chance.choice(HOSTILE_NAMES) + text[end:]
        case 2 | 3:
            return text[:begin] + chance.choice(ODD_NUMBERS) + text[end:]
        case 4:
            return text[:begin] + chance.choice(STRUCTURE) + text[end:]
        case 5:
            return text[:begin]
        case 6:
            # The line once more: a key that occurs twice.
            first = text.rfind("\n", 0, begin) + 1
            last = text.find("\n", end) + 1 or len(text)
            return text[:last] + text[first:last] + text[last:]
        case _:
            first, last = chance.choice(words)
            return text[:begin] + text[first:last] + text[end:]


def damaged_json(data: bytes, chance: random.Random) -> bytes:
    """Damage the values of a JSON file, or its text."""
    if chance.random() < 0.4:
        return damaged_text(data, chance)
    return mutated(json.loads(data), chance)


def damaged_lines(data: bytes, chance: random.Random) -> bytes:
    """Damage some of the lines of a file with a JSON value per line."""
    lines = data.splitlines()
    return b"\n".join(
        damaged_json(line, chance) if chance.random() < 0.5 else line for line in lines
    )
