"""The built site at an address of this computer."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

from reprolib.errors import Failed


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def server(html: Path, port: int = 0) -> http.server.ThreadingHTTPServer:
    """A server of a built site, for this computer alone; port 0: one that is free.

    Raises:
        FileNotFoundError: if there is no built site.
        Failed: if another program has the port.
    """
    if not (html / "index.html").is_file():
        raise FileNotFoundError(f"there is no built site in {html}: run make book first")
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), functools.partial(_Quiet, directory=str(html)))
    except OSError as error:
        raise Failed(f"port {port} is taken by another program ({error.strerror}): end it first") from error


@contextlib.contextmanager
def serving(html: Path, port: int = 0) -> Iterator[str]:
    """Serve a built site meanwhile; gives the address. Raises as `server`."""
    with server(html, port) as opened:
        threading.Thread(target=opened.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{opened.server_port}/"
        opened.shutdown()


def serve(html: Path, port: int = 8000) -> None:
    """Serve a built site until Ctrl-C; prints the address. Raises as `server`."""
    with server(html, port) as opened, contextlib.suppress(KeyboardInterrupt):
        print(f"The book is at http://127.0.0.1:{opened.server_port}/ until Ctrl-C", flush=True)
        opened.serve_forever()
