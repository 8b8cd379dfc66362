from __future__ import annotations

import ast
import socket
from pathlib import Path

import pytest

from myna.core.errors import InvalidRequest, Unsupported
from myna.media.containers import open_container

LISTS = {
    "ffconcat": "ffconcat version 1.0\nfile {path}\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{path}\n#EXT-X-ENDLIST\n",
    "hls address": "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=audio {port} RTP/AVP 0\n",
    "dash": '<?xml version="1.0"?><MPD><BaseURL>{path}</BaseURL></MPD>',
    "image sequence": "{path}",
}


@pytest.mark.parametrize("kind", LISTS)
def test_lists_of_files_and_addresses_are_refused(
    tmp_path: Path, write_video, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret.ts"
    secret.write_bytes(write_video(3, form="mpegts"))
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        port = server.getsockname()[1]
        text = LISTS[kind].format(path=secret.name, port=port)
        with pytest.raises(Unsupported, match="damaged, or of a kind that is not read here"):
            open_container(text.encode())
        with pytest.raises(TimeoutError):
            server.accept()


def test_formats_that_are_not_listed_are_refused(write_video) -> None:
    with pytest.raises(Unsupported, match="send WAV, MP3, FLAC"):
        open_container(write_video(3, form="mpegts"))


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="the file is empty"):
        open_container(b"")


def is_written(call: ast.Call) -> bool:
    """Tell whether a container is opened to write it."""
    modes = [*call.args[1:2], *(item.value for item in call.keywords if item.arg == "mode")]
    return any(isinstance(mode, ast.Constant) and mode.value == "w" for mode in modes)


def test_files_are_opened_in_one_place(root: Path) -> None:
    opened = {
        path.name
        for path in (root / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"av.open", "av.container.open"}
        and not is_written(node)
    }
    assert opened == {"containers.py", "camera.py"}  # the second opens the user's own camera
