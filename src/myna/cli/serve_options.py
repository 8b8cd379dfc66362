"""What the operator of a server may choose on the command line, and what becomes of it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from myna.cli.compose import ModelChoice
from myna.cli.keys import check_keys, read_keys
from myna.core.errors import InvalidRequest
from myna.core.remote import Supervision
from myna.media.fetch import FetchPolicy
from myna.server.auth import guard
from myna.server.run import TlsFiles
from myna.server.settings import Limits, ServerSettings

KEYS = "Who may call"
PAGES = "Which web pages may call"
USUAL = ServerSettings()

ApiKeyOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Key that clients must present; repeatable. MYNA_API_KEY or a file hides it better.",
        rich_help_panel=KEYS,
    ),
]
ApiKeyFileOption = Annotated[
    Path | None,
    typer.Option(help="File with a key a line; `myna key --file` makes it.", rich_help_panel=KEYS),
]
WithoutKeyOption = Annotated[
    bool,
    typer.Option("--without-key", help="Let in whoever reaches the address.", rich_help_panel=KEYS),
]
AliasOption = Annotated[
    list[str] | None,
    typer.Option(help="Serve a model under another name, too; repeatable.", metavar="NAME=MODEL"),
]
AllowOriginOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Let pages of this origin call from a browser; repeatable.",
        metavar="https://SITE",
        rich_help_panel=PAGES,
    ),
]
AllowHostOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Name under which this server may be called; repeatable.", rich_help_panel=PAGES
    ),
]
FetchMediaOption = Annotated[
    bool,
    typer.Option("--fetch-media", help="Fetch media from public addresses that requests hold."),
]
MediaDomainOption = Annotated[
    list[str] | None,
    typer.Option(help="Fetch media from this domain only; repeatable.", metavar="DOMAIN"),
]
MaxModelsOption = Annotated[
    int, typer.Option(min=1, max=64, help="Models that may be loaded at once.")
]
MaxRequestsOption = Annotated[
    int,
    typer.Option(min=1, help="Requests that may be open at once; more are told to come later."),
]
DeadlineOption = Annotated[
    float, typer.Option(min=1.0, help="Seconds that a request may take.", metavar="SECONDS")
]
DrainOption = Annotated[
    float,
    typer.Option(
        min=0.0, help="Seconds that open answers may take to finish at the end.", metavar="SECONDS"
    ),
]
StuckOption = Annotated[
    float,
    typer.Option(
        min=10.0,
        help="Seconds without progress after which an engine at work is ended and started again.",
        metavar="SECONDS",
    ),
]
TlsCertOption = Annotated[
    Path | None, typer.Option(help="Certificate chain (PEM), to serve over HTTPS.")
]
TlsKeyOption = Annotated[Path | None, typer.Option(help="Private key (PEM) of the certificate.")]


@dataclass(frozen=True, kw_only=True)
class ServePlan:
    """Hold all that is needed to serve.

    Attributes:
        supervision: when an engine's process is ended and started again.
        max_models: models that may be loaded at once.
        grace_s: time that open answers have to finish at the end.
    """

    choice: ModelChoice
    supervision: Supervision
    settings: ServerSettings
    max_models: int
    grace_s: float
    tls: TlsFiles | None


def all_keys(known: Sequence[str], given: Sequence[str], file: Path | None) -> tuple[str, ...]:
    """Collect the keys of the environment, the command line and a file."""
    checked = check_keys(given, origin="--api-key")
    return (*known, *checked, *(() if file is None else read_keys(file)))


def remote_media(domains: Sequence[str], *, is_on: bool) -> FetchPolicy | None:
    """Say what media may be fetched; to name a domain is to switch it on."""
    if not is_on and not domains:
        return None
    return FetchPolicy(domains=tuple(domain.lower().strip(".") for domain in domains))


def server_settings(
    host: str,
    *,
    keys: tuple[str, ...],
    is_open: bool,
    aliases: Sequence[str],
    origins: Sequence[str],
    hosts: Sequence[str],
    remote_media: FetchPolicy | None,
    max_requests: int,
    deadline_s: float,
) -> ServerSettings:
    """Put the settings of a server together.

    Raises:
        InvalidRequest: an alias cannot be read, or the network would be let in without a key.
    """
    settings = ServerSettings(
        api_keys=keys,
        aliases=dict(map(_alias, aliases)),
        allowed_origins=tuple(origin.rstrip("/") for origin in origins),
        allowed_hosts=tuple(name.lower() for name in hosts) or None,
        remote_media=remote_media,
        deadline_s=deadline_s,
        limits=Limits(max_requests=max_requests),
    )
    if is_open and not keys:
        guarded = guard(msgspec.structs.replace(settings, api_keys=("",)), host=host)
        return msgspec.structs.replace(guarded, api_keys=())
    try:
        return guard(settings, host=host)
    except InvalidRequest as error:
        hint = "hint: `myna key` makes one for --api-key-file; --without-key lets anyone in"
        raise InvalidRequest(f"{error.message}\n{hint}") from None


def tls_files(cert: Path | None, key: Path | None) -> TlsFiles | None:
    """Check a certificate before anything is loaded.

    Raises:
        InvalidRequest: it cannot be read, or its key is not its own.
    """
    if cert is None and key is None:
        return None
    if cert is None:
        raise InvalidRequest("--tls-key is given without --tls-cert; give both")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidRequest(
            f"the certificate {cert} and its key cannot be used ({error})\n"
            "hint: give PEM files, the key by --tls-key"
        ) from None
    return TlsFiles(cert=cert, key=key)


def _alias(text: str) -> tuple[str, str]:
    name, equals, model = text.partition("=")
    if not (name and equals and model):
        raise InvalidRequest(f"--alias {text!r} is not of the form NAME=MODEL")
    return name, model
