"""The page of blind looks: what is on it, that it is fair, and that it works in a browser."""

from __future__ import annotations

import base64
import collections
import json
import re
import zlib

import numpy as np
import pytest

from dancenet.evaluation.answers import read_sheet, share, wilson
from dancenet.evaluation.report.blind_look import (
    CHECKS,
    PAIRS,
    Source,
    blind_page,
    make_pairs,
)

EVIL = "</script><script>document.documentElement.dataset.evil = 'yes'</script>"
HEIGHT, WIDTH = 24, 40


def dances(kind: int, count: int = 3, frames: int = 300) -> list[Source]:
    """Returns dances of a block whose height is its kind, and whose place is the frame."""

    def draw(rows: range) -> np.ndarray:
        background = np.ones((len(rows), HEIGHT, WIDTH), np.float32)
        for index, row in enumerate(rows):
            background[index, 10 : 10 + kind, row % 30 : row % 30 + 5] = 0
        return background

    return [Source(frames, draw) for _ in range(count)]


def pairs(beside: bool = False, seed: int = 1, frames: int = 300):
    sources = dances(4, frames=frames), dances(6, frames=frames), dances(9) if beside else []
    return make_pairs(sources, 30.0, np.random.default_rng(seed))


def page(**changes: object) -> str:
    facts = {"model": "me", "beside": None, "seed": 1}
    return blind_page(pairs(), 30.0, facts | changes)


def held(text: str) -> dict:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(found)


def unpack(loop: str, frames: int) -> np.ndarray:
    """Reads a loop as the script of the page does."""
    bits = np.frombuffer(zlib.decompress(base64.b64decode(loop)), np.uint8).reshape(frames, -1)
    bits = np.bitwise_xor.accumulate(bits, axis=0)
    return np.unpackbits(bits, axis=1)[:, : HEIGHT * WIDTH].reshape(-1, HEIGHT, WIDTH).astype(bool)


def kind_of(loop: np.ndarray) -> int:
    return int(loop[0].any(axis=1).sum())


@pytest.mark.parametrize("beside", [False, True])
def test_twenty_pairs_hold_four_checks_and_as_many_real_ones_on_either_side(beside):
    found = pairs(beside)
    assert len(found) == PAIRS == 20
    kinds = collections.Counter(frozenset((pair.left, pair.right)) for pair in found)
    assert all(kinds.pop(frozenset(("real", check))) == 1 for check in CHECKS)
    judged = (
        {("real", "generated"): 8, ("beside", "generated"): 8}
        if beside
        else {("real", "generated"): 16}
    )
    assert kinds == {frozenset(pair): count for pair, count in judged.items()}
    for one, other in judged:
        sides = collections.Counter(p.left for p in found if {p.left, p.right} == {one, other})
        assert sides[one] == sides[other]
    assert sum(pair.left in CHECKS for pair in found) == 2


def test_what_a_side_shows_is_what_it_says():
    heights = {"real": 4, "generated": 6, "beside": 9, "frozen": 4, "shuffled": 4, "twin": 4}
    for pair in pairs(beside=True):
        for name, loop in zip((pair.left, pair.right), pair.loops):
            assert loop.shape == (240, HEIGHT, WIDTH)
            assert name == "broken" or kind_of(loop) == heights[name], name


def test_checks_are_what_they_say():
    spoilt = {}
    for pair in pairs():
        for name, loop, other in zip((pair.left, pair.right), pair.loops, pair.loops[::-1]):
            spoilt[name] = loop, other
    assert (spoilt["frozen"][0] == spoilt["frozen"][0][0]).all()
    assert (spoilt["twin"][0] == spoilt["twin"][1][:, :, ::-1]).all()
    # The same pictures in another order.
    shuffled, whole = (sorted(frame.tobytes() for frame in one) for one in spoilt["shuffled"])
    assert shuffled == whole
    assert (spoilt["shuffled"][0] != spoilt["shuffled"][1]).any()
    assert (spoilt["broken"][0] != spoilt["broken"][1]).any()


def test_order_and_sides_follow_from_the_seed():
    def order(seed: int) -> list[tuple[str, str]]:
        return [(pair.left, pair.right) for pair in pairs(seed=seed)]

    assert order(1) == order(1) != order(2)


def test_short_dances_make_short_loops():
    assert {len(loop) for pair in pairs(frames=40) for loop in pair.loops} == {40}


def test_the_page_holds_every_picture_exactly():
    content = held(page())
    for shown, pair in zip(content["pairs"], pairs(), strict=True):
        for packed, loop in zip(shown["loops"], pair.loops):
            assert (unpack(packed, content["frames"]) == loop).all()


def test_the_page_names_no_other_place_and_stays_closed():
    text = page(model=EVIL)
    assert EVIL not in text and held(text)["answers"]["model"] == EVIL
    assert "http:" not in text and "https:" not in text
    assert not re.search(r"\b(src|import|fetch|url)\s*[=(]", text)
    assert "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'" in text


def test_real_figures_make_a_page_of_a_few_megabytes():
    rng = np.random.default_rng(0)
    figure = np.zeros((240, 120, 208), bool)
    for index in range(240):  # six limbs that move by a pixel or two in each frame
        for limb in range(6):
            row, column = 10 + 15 * limb, 80 + round(12 * np.sin(index / 9 + limb))
            figure[index, row : row + 15, column : column + 12 + rng.integers(3)] = True
    both = [pair.__class__(pair.left, pair.right, (figure, figure)) for pair in pairs()]
    text = blind_page(both, 30.0, {"model": "me", "beside": None, "seed": 1})
    assert len(text) < 8_000_000


# ---- In a browser ----


def with_script(text: str, script: str) -> str:
    """Returns a page whose script is told, once each pair is there, what to do."""
    done = f"""<script>
    const wait = (number) => new Promise((found) => {{
      const look = () => root.dataset.ready === String(number) ? found() : setTimeout(look, 5);
      look();
    }});
    const key = (name) => dispatchEvent(new KeyboardEvent("keydown", {{ key: name }}));
    (async () => {{ {script}; root.dataset.over = "yes"; }})();
    </script></body>"""
    return text.replace("</body>", done)


def test_keys_and_clicks_answer_and_the_end_says_the_interval(state, tmp_path):
    # Left by key, right by click.
    said = state(
        with_script(
            page(),
            "for (let n = 0; n < 20; n++) { await wait(n); "
            "n % 2 ? $('right').click() : key('ArrowLeft'); }",
        )
    )
    assert said["errors"] == "0" and said["over"] == "yes", said
    path = tmp_path / "answers.json"
    path.write_text(said["answers"], encoding="utf-8")
    sheet = read_sheet(path)
    assert [answer.chosen for answer in sheet.answers] == ["left", "right"] * 10
    assert [(a.left, a.right) for a in sheet.answers] == [(p.left, p.right) for p in pairs()]
    found = share(sheet.answers, "generated", "real")
    shown = json.loads(said["interval"])
    assert shown == pytest.approx([found.count, found.of, *wilson(found.count, found.of)])


def test_an_answer_can_be_taken_back(state):
    said = state(
        with_script(
            page(),
            "await wait(0); key('ArrowLeft'); await wait(1); key('Backspace'); await wait(0); "
            "key('ArrowRight'); await wait(1); root.dataset.chosen = JSON.stringify(chosen)",
        )
    )
    assert said["over"] == "yes" and json.loads(said["chosen"]) == ["right"]
    assert said["shown"] == "1"


def test_pictures_are_drawn_and_stop_where_motion_is_to_be_reduced(state):
    look = (
        "await wait(0); await new Promise((go) => setTimeout(go, 300)); draw(); "
        "const ink = canvases.map((c) => c.getContext('2d').getImageData(0, 0, c.width, c.height));"
        "root.dataset.dark = JSON.stringify(ink.map((i) => i.data.filter((v, at) => "
        "at % 4 === 0 && v < 128).length)); root.dataset.playing = String(playing)"
    )
    said = state(with_script(page(), look), "", "--force-prefers-reduced-motion")
    first = pairs()[0]
    expected = [4 * int(loop[0].sum()) for loop in first.loops]  # twice as large either way
    assert json.loads(said["dark"]) == pytest.approx(expected, rel=0.25)
    assert said["playing"] == "false" and said["frame"] == "0" and said["errors"] == "0"
    assert state(with_script(page(), look))["playing"] == "true"
