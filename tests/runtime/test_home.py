"""Nothing is written into the user's home, and nothing is reported to anybody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOMES = ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
# Where these are set, ONNX Runtime reports nothing in any case.
LEFT_OUT = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")


def run(tmp_path: Path, program: str) -> list[str]:
    """Runs a program with a home of its own, and returns the files that it leaves there."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    environment = {key: value for key, value in os.environ.items() if key not in LEFT_OUT}
    environment |= {name: str(home) for name in HOMES} | {"DANCENET_CACHE": str(tmp_path / "cache")}
    program = (
        f"import sys\nsys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests/helpers/models')!r}]\n"
        + program
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=environment,
        cwd=work,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def test_a_dance_leaves_nothing_in_the_home(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path\n"
        "import small_model\n"
        "from dancenet.cli import main\n"
        "small_model.write_small_model(Path('model'))\n"
        "assert main(['generate-video', '--model', 'model', '--seconds', '1', '--scale', '1',\n"
        "             '--seed', '1', '--out', 'dance.mp4']) == 0\n"
    )
    assert run(tmp_path, program) == []
    assert (tmp_path / "work" / "dance.mp4").stat().st_size > 0


@pytest.mark.slow
def test_the_networks_leave_matplotlibs_list_of_fonts_at_most(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="the networks need the extra 'train'")
    left = run(tmp_path, "import dancenet.nets.vae\n")
    assert [name for name in left if "fontlist" not in name] == []


def test_settings_of_keras_in_the_home_are_read(tmp_path: Path) -> None:
    program = (
        "import os\n"
        "from pathlib import Path\n"
        "settings = Path.home() / '.keras' / 'keras.json'\n"
        "settings.parent.mkdir()\n"
        "settings.write_text('{}', encoding='utf-8')\n"
        "import dancenet.nets\n"
        "assert 'KERAS_HOME' not in os.environ\n"
    )
    assert run(tmp_path, program) == [os.path.join(".keras", "keras.json")]
