"""No flag, key or file name is lost or renamed unnoticed."""

from __future__ import annotations

import json

from goldens import make_interface


def test_flags_and_keys_are_those_that_were_written_down() -> None:
    golden = json.loads(make_interface.PATH.read_text(encoding="utf-8"))
    assert make_interface.compute() == golden, "run tests/goldens/make_interface.py and review it"
