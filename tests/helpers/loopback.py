"""A web site on the loopback interface, with ranges, that can misbehave."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Site(http.server.ThreadingHTTPServer):
    """Serves `pages`."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages: dict[str, bytes] = {}  # by path and query
        self.kinds: dict[str, str] = {}  # Content-Type, by path; none if absent
        self.statuses: dict[str, int] = {}  # by path; 200 if absent
        self.cut_after: int | None = None  # bytes sent before the connection is closed
        self.ranges = True
        self.asked: list[tuple[str, str | None]] = []  # path and Range header

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        page = self.server.pages.get(self.path)
        if page is None:
            self.send_error(404)
            return
        kind = self.server.kinds.get(self.path)
        first = 0
        if wanted and self.server.ranges and kind is None:
            first = int(wanted.removeprefix("bytes=").rstrip("-"))
            if first >= len(page):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(page) - 1}/{len(page)}")
        else:
            self.send_response(self.server.statuses.get(self.path, 200))
        if kind is not None:
            self.send_header("Content-Type", kind)
        body = page[first:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.server.cut_after is None else body[: self.server.cut_after])

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Site]:
    """Yields a running site, and stops it."""
    server = Site()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
