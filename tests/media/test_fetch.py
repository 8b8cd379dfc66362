"""Fetching media: only plain, public addresses are ever dialled, and never for long."""

from __future__ import annotations

import http.server
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from myna.core.errors import InvalidRequest, MynaError, TooLarge, Unsupported
from myna.core.ledger import departures
from myna.media.fetch import Fetcher, FetchPolicy, is_public, read_url


def words(text: str) -> list[str]:
    return text.split()


PUBLIC = "93.184.216.34"
PRIVATE = words(
    """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1
    172.31.255.255 192.0.0.1 192.0.2.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1
    239.255.255.250 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::10.0.0.1 ::ffff:127.0.0.1
    ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b:1::7f00:1
    2002:7f00:1:: 2002:a00:1:: 2002:a9fe:a9fe::1 2001:0:7f00:1:: 2001::1 100::1 fc00::1
    fd00:ec2::254     fe80::1 fec0::1 ff02::1 2001:db8::1 2001:10::1
"""
)


@pytest.mark.parametrize("text", PRIVATE)
def test_addresses_that_are_not_of_the_public_net_are_known(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text", [PUBLIC, "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


ODD_HOSTS = words(
    """
    2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 017700000001 127.1 127.0.1 1.1.1.1.1 127.0.0.01
    256.0.0.1 1.2.3 localhost intranet a..b .a.b a.b. -a.b a-.b a_b.c x.0x7f [::1%25eth0]
    [fe80::1%eth0] [::g] [1.2.3.4] [] [::1
"""
)
ODD_URLS = [
    "",
    "//a.example/x",
    "ftp://a.example/x",
    "file:///etc/passwd",
    "gopher://a.example:70/_x",
    "data://text",
    "http:a.example",
    "http:///x",
    "http://user@a.example/x",
    "http://user:secret@a.example/x",
    "http://a.example@127.0.0.1/x",
    "http://a.example\\@127.0.0.1/x",
    "http://a.example\\.b.example/x",
    "http://a.example/x\\y",
    "http://a.example/x y",
    "http://a.example/x\r\nHost: b",
    "http://a.example/x\t",
    "http://a.example/\x00",
    "http://a.example/ü",
    "http://ä.example/x",
    "http://a。example/x",
    "http://①②⑦.0.0.1/x",
    "http://a.example%2fb/x",
    "http://a.example/x#y",
    "http://a.example:22/x",
    "http://a.example:443/x",
    "https://a.example:80/x",
    "http://a.example:/x",
    "http://a.example:080808/x",
    "http://a.example:99999/x",
    "http://a.example/" + "x" * 3000,
    " http://a.example/x",
    "http://a.example/x\n",
    *(f"http://{host}/x" for host in ODD_HOSTS),
]


@pytest.mark.parametrize("url", ODD_URLS)
def test_addresses_that_could_be_read_in_two_ways_are_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="The address of the media") as caught:
        read_url(url)
    assert caught.value.code == "invalid_url"


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("http://A.Example", "http://a.example/"),
        ("HTTPS://a.example:443/x?y=%2F&z", "https://a.example/x?y=%2F&z"),
        ("http://a.example?x", "http://a.example/?x"),
        ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"),
        (f"http://{PUBLIC}:80/a", f"http://{PUBLIC}/a"),
        ("http://[2606:4700::1111]/a", "http://[2606:4700::1111]/a"),
    ],
)
def test_plain_addresses_are_written_anew(url: str, written: str) -> None:
    assert read_url(url).url == written


@pytest.mark.parametrize("text", PRIVATE)
def test_a_name_that_leads_inside_is_never_dialled(text: str) -> None:
    fetcher = Fetcher(
        FetchPolicy(),
        resolve=lambda host, port: [PUBLIC, text],  # one good address makes it no better
        dial=lambda *_: pytest.fail("it was dialled"),
    )
    with pytest.raises(InvalidRequest, match="does not belong to the public net") as caught:
        fetch(fetcher, "http://a.example/x")
    assert text not in caught.value.message


def fetch(fetcher: Fetcher, url: str, *, max_bytes: int = 1000, deadline_s: float = 5.0) -> bytes:
    return fetcher.fetch(url, max_bytes=max_bytes, until_s=time.monotonic() + deadline_s)


class Pages(http.server.BaseHTTPRequestHandler):
    """Answer as the path says."""

    def do_GET(self) -> None:
        kind, _, rest = self.path.lstrip("/").partition("/")
        if kind == "leads":
            self.send_response(302)
            self.send_header("Location", rest or "/file")
            self.end_headers()
            return
        if kind == "slow":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"x")
                time.sleep(0.05)
            return
        self.send_response(404 if kind == "missing" else 200)
        if kind == "zipped":
            self.send_header("Content-Encoding", "gzip")
        if kind == "short":
            self.send_header("Content-Length", "900")
        if kind == "long":
            self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(self.headers["Host"].encode() if kind == "host" else b"x" * 500)
        if kind == "endless":
            for _ in range(100):
                self.wfile.write(b"x" * 500)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class QuietServer(http.server.ThreadingHTTPServer):
    """Take it calmly when a client hangs up."""

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[int]:
    """Serve pages on this machine; returns the port."""
    with QuietServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def fetcher(site: int) -> Fetcher:
    """Fetch from the site under every public name; nothing else is reached."""

    def dial(address: tuple[str, int], timeout_s: float) -> socket.socket:
        assert address == (PUBLIC, 80)
        return socket.create_connection(("127.0.0.1", site), timeout_s)

    def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host.startswith("inside") else [PUBLIC]

    return Fetcher(FetchPolicy(), resolve=resolve, dial=dial)


def test_a_file_is_fetched_and_its_host_keeps_its_name(fetcher: Fetcher) -> None:
    assert fetch(fetcher, "http://a.example/file") == b"x" * 500
    assert fetch(fetcher, "http://a.example/host") == b"a.example"


def test_hosts_are_noted_before_they_are_asked_but_not_what_of_them(
    fetcher: Fetcher, tmp_path: Path
) -> None:
    fetcher._home = tmp_path
    fetch(fetcher, "http://a.example/leads/http://b.example/file?secret")
    noted = [(left.host, left.path, left.purpose) for left in departures(tmp_path, limit=9)]
    assert noted == [("b.example", "", "media"), ("a.example", "", "media")]


def test_redirects_are_followed_but_not_for_ever(fetcher: Fetcher) -> None:
    assert fetch(fetcher, "http://a.example/leads/http://b.example/file") == b"x" * 500
    assert fetch(fetcher, "http://a.example/leads") == b"x" * 500
    with pytest.raises(InvalidRequest, match="leads on more than 3 times"):
        fetch(fetcher, "http://a.example/leads/leads/leads/leads/leads/leads")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("http://inside.example/file", "does not belong to the public net"),
        ("http://127.0.0.1/file", "does not belong to the public net"),
        ("file:///etc/passwd", "without doubt"),
        ("http://a.example:22/", "names a port"),
        ("http://b.example@127.0.0.1/", "without doubt"),
    ],
)
def test_every_redirect_is_checked_anew(fetcher: Fetcher, place: str, message: str) -> None:
    def resolve(host: str, port: int) -> list[str]:
        return [host] if host == "127.0.0.1" else ["10.0.0.1"] if "inside" in host else [PUBLIC]

    fetcher._resolve = resolve
    with pytest.raises(InvalidRequest, match=message):
        fetch(fetcher, f"http://a.example/leads/{place}")


@pytest.mark.parametrize("kind", ["missing", "zipped", "short"])
def test_what_cannot_be_had_is_told_without_details(fetcher: Fetcher, kind: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        fetch(fetcher, f"http://a.example/{kind}")
    assert caught.value.message == (
        "The media could not be fetched from their address; send them with the request."
    )


@pytest.mark.parametrize("kind", ["long", "endless"])
def test_a_file_that_is_too_large_is_not_taken(fetcher: Fetcher, kind: str) -> None:
    with pytest.raises(TooLarge, match="holds more than 1000 bytes"):
        fetch(fetcher, f"http://a.example/{kind}")


def test_a_slow_file_is_given_up_in_time(fetcher: Fetcher) -> None:
    started_s = time.monotonic()
    with pytest.raises(InvalidRequest):
        fetch(fetcher, "http://a.example/slow", deadline_s=0.3)
    assert time.monotonic() - started_s < 1.0


def test_only_listed_domains_are_fetched_from(fetcher: Fetcher) -> None:
    fetcher.policy = FetchPolicy(domains=("a.example",))
    assert fetch(fetcher, "http://pictures.a.example/file")
    for host in ("b.example", "evila.example", "a.example.b.example"):
        with pytest.raises(Unsupported, match=r"fetched from a\.example only"):
            fetch(fetcher, f"http://{host}/file")
    with pytest.raises(Unsupported, match=r"only, not from 'b\.example'"):
        fetch(fetcher, "http://a.example/leads/http://b.example/file")


def raising(error: Exception) -> Callable[..., list[str]]:
    def resolve(*_: object) -> list[str]:
        raise error

    return resolve


@pytest.mark.parametrize(
    "resolve",
    [raising(socket.gaierror("no such name")), lambda *_: [], lambda *_: ["nonsense"]],
)
def test_a_name_of_nothing_cannot_be_fetched(resolve: Callable[..., list[str]]) -> None:
    with pytest.raises(InvalidRequest, match="could not be fetched"):
        fetch(Fetcher(FetchPolicy(), resolve=resolve), "http://a.example/x")


def test_a_resolver_that_hangs_is_given_up_in_time() -> None:
    released = threading.Event()

    def resolve(host: str, port: int) -> list[str]:
        released.wait(5)
        return []

    with pytest.raises(InvalidRequest, match="could not be fetched"):
        fetch(Fetcher(FetchPolicy(), resolve=resolve), "http://a.example/x", deadline_s=0.05)
    released.set()
    with pytest.raises(InvalidRequest, match="did not come in time"):
        fetch(Fetcher(FetchPolicy(), resolve=resolve), "http://a.example/x", deadline_s=-1.0)


def test_a_host_that_does_not_answer_cannot_be_fetched() -> None:
    def dial(*_: object) -> socket.socket:
        raise ConnectionRefusedError

    fetcher = Fetcher(FetchPolicy(), resolve=lambda *_: [PUBLIC], dial=dial)
    with pytest.raises(MynaError, match="could not be fetched"):
        fetch(fetcher, "http://a.example/x")


def test_https_speaks_tls_and_does_not_lead_to_http(fetcher: Fetcher, site: int) -> None:
    def dial(address: tuple[str, int], timeout_s: float) -> socket.socket:
        assert address == (PUBLIC, 443)
        return socket.create_connection(("127.0.0.1", site), timeout_s)

    fetcher._dial = dial
    with pytest.raises(InvalidRequest, match="could not be fetched"):  # the site speaks no TLS
        fetch(fetcher, "https://a.example/file")
