"""Left and right in the names of joints, whatever program gave them."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Words that are a side by themselves, in the languages that rigs are named in.
_SIDES = {
    "l": ("l", "lt", "lft", "left", "gauche", "links", "izquierda", "izquierdo", "sinistra"),
    "r": ("r", "rt", "rgt", "right", "droite", "droit", "rechts", "derecha", "derecho", "destra"),
}
_WORDS = {word: side for side, words in _SIDES.items() for word in words}
# Parts of names in scripts without spaces, the longest first.
_PARTS = {
    "l": ("왼쪽", "왼", "左", "лев"),
    "r": ("오른쪽", "오른", "右", "прав"),
}
# What follows a letter that is a side and is not set apart, as in lfemur, RFoot and LHIP.
_BODY = (
    "ankle arm ball biceps calf cheek clavicle collar elbow eye eyebrow femur finger fingers "
    "foot forearm hand heel hip hipjoint humerus index knee leg lowarm lowerarm lowerleg lowleg "
    "middle pinky radius ring scapula shin shldr shoulder thigh thumb tibia toe toebase toes ulna "
    "uparm upleg upperarm upperleg wrist"
).split()
_TOKENS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z\u00aa-\U0010ffff]+|[0-9]+")
_LEAST = 3  # letters of a name of which only the first tells two names apart


def split_side(name: str) -> tuple[str, tuple[str, ...]]:
    """Splits a joint's name into its side and its words.

    Args:
        name: such as "mixamorig:LeftUpLeg", "thigh.L", "Bip01 L Thigh", "lfemur" or "左足".

    Returns:
        "l", "r" or "" and the other words in lower case, without numbers and without what stands
        before a colon: ("l", ("up", "leg")).
    """
    side, tokens = _split(name.rsplit(":", 1)[-1])
    return side, tuple(token for token in tokens if not token.isdigit())


def other_sides(names: Sequence[str]) -> list[int]:
    """Returns each joint's index on the other side; a joint in the middle has its own."""
    found: dict[tuple[str, ...], list[int]] = {}
    for index, name in enumerate(names):
        prefix, _, last = name.rpartition(":")
        side, tokens = _split(last)
        if side:
            found.setdefault((side, prefix, *tokens), []).append(index)
    other = list(range(len(names)))
    for (side, *key), own in found.items():
        opposite = found.get(("r" if side == "l" else "l", *key), [])
        if len(own) == len(opposite) == 1:
            other[own[0]] = opposite[0]
    # Markers have names such as LFHD and RFHD, of which only the first letter is a word.
    places = {name: index for index, name in enumerate(names)}
    for name, index in places.items():
        swapped = {"l": "r", "L": "R"}.get(name[:1], "") + name[1:]
        pair = places.get(swapped)
        if len(name) > _LEAST and pair is not None and swapped != name[1:]:
            if other[index] == index and other[pair] == pair:
                other[index], other[pair] = pair, index
    return other


def _split(name: str) -> tuple[str, list[str]]:
    """Returns the side, or nothing, and the other words and numbers in lower case."""
    rest, script = _scripted(name)
    tokens = [token.lower() for token in _TOKENS.findall(rest)]
    if script:
        return script, tokens
    at = [index for index, token in enumerate(tokens) if token in _WORDS]
    sides = {_WORDS[tokens[index]] for index in at}
    if len(sides) == 1:
        return sides.pop(), [token for index, token in enumerate(tokens) if index not in at]
    if sides:
        return "", tokens
    for index, token in enumerate(tokens):
        for word, side in (("left", "l"), ("right", "r"), ("l", "l"), ("r", "r")):
            following = token.removeprefix(word)
            if following != token and (following in _BODY or (word != side and following)):
                return side, [*tokens[:index], following, *tokens[index + 1 :]]
    return "", tokens


def _scripted(name: str) -> tuple[str, str]:
    """Takes a side that is part of a word in Chinese, Japanese, Korean or Russian out of a name."""
    found = [
        (side, part) for side, parts in _PARTS.items() for part in parts if part in name.lower()
    ]
    if not found or len({side for side, _ in found}) > 1:
        return name, ""
    side, part = found[0]
    return name.lower().replace(part, " ", 1), side
