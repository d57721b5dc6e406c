"""Opens pages in Chromium, if there is one."""

from __future__ import annotations

import functools
import html
import os
import re
import shutil
import subprocess

import pytest


@functools.cache
def browser():
    named = os.environ.get("DANCENET_CHROMIUM")
    known = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return named or next(filter(None, map(shutil.which, known)), None)


@pytest.fixture
def chromium(tmp_path):
    """Returns a function that opens a page in Chromium and returns what it printed."""
    if browser() is None:
        pytest.skip("needs Chromium; install it, or name it in DANCENET_CHROMIUM")

    def open_page(page, fragment="", *flags):
        path = tmp_path / "page.html"
        path.write_text(page, encoding="utf-8")
        done = subprocess.run(
            [
                browser(),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
                "--window-size=640,480",
                f"--user-data-dir={tmp_path / 'profile'}",
                "--virtual-time-budget=2000",
                *flags,
                f"{path.as_uri()}#{fragment}",
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return open_page


@pytest.fixture
def state(chromium):
    """Returns a function that opens a page and returns what it says of itself."""

    def read(page, fragment="", *flags):
        dom = chromium(page, fragment, *flags, "--dump-dom")
        head = re.search(r"<html[^>]*>", dom).group()
        return {
            key: html.unescape(value) for key, value in re.findall(r'data-(\w+)="([^"]*)"', head)
        }

    return read
