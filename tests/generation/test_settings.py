"""What a dance is asked for, before a model is there."""

from __future__ import annotations

import pytest

from dancenet.generation.settings import DanceSettings
from dancenet.support.errors import UserError


def test_an_empty_style_is_refused_before_a_model_is_loaded():
    with pytest.raises(UserError, match="empty style"):
        DanceSettings(style=" ")
