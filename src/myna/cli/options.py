"""Options that several commands share, with one wording each."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Dtype(StrEnum):
    """Number format of activations and of weights that are not kept packed."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Device(StrEnum):
    """Where weights are and what computes."""

    CPU = "cpu"
    CUDA = "cuda"


JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
DtypeOption = Annotated[
    Dtype, typer.Option(help="Number format to compute in; auto: what this machine is fast at.")
]
DeviceOption = Annotated[
    Device, typer.Option(help="What computes; cuda needs its torch, and has not been tried yet.")
]
MaxContextOption = Annotated[
    int | None,
    typer.Option(min=1, help="Most tokens of a conversation; less takes less memory."),
]
KeepPackedOption = Annotated[
    bool | None,
    typer.Option(
        "--keep-packed/--unpack",
        help="Leave quantized weights packed (small), or unpack them (large); default: what fits.",
    ),
]
KvMemoryOption = Annotated[
    str | None,
    typer.Option(help="Memory for what the model remembers, such as 2GB.", metavar="SIZE"),
]
KvInt8Option = Annotated[
    bool,
    typer.Option(
        "--kv-int8",
        help="Remember in 8 bits: twice as much in the same memory.",
    ),
]
YarnOption = Annotated[
    float | None,
    typer.Option(min=1.0, help="Stretch the context by this factor; it costs a little quality."),
]
EchoOption = Annotated[
    bool, typer.Option("--echo", hidden=True, help="No model: answer with the caller's words.")
]
UrlOption = Annotated[
    str | None, typer.Option(help="Ask the server at this address instead.", metavar="URL")
]
ServerOption = Annotated[
    str | None,
    typer.Option("--url", help="The server's address; default: this machine's.", metavar="URL"),
]
KeyOption = Annotated[
    str | None, typer.Option(help="The key it asks for; MYNA_API_KEY hides it better.")
]
ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="A name of `myna list`, or a folder.")
]
AttachOption = Annotated[
    list[Path] | None,
    typer.Option("--attach", "-a", help="A picture, sound or clip to send along; repeatable."),
]
ListenOption = Annotated[bool, typer.Option("--listen", help="Listen to the sound of clips, too.")]
VoiceOption = Annotated[
    str | None, typer.Option(help="Who speaks, such as aiden; default: the model's usual voice.")
]
LanguageOption = Annotated[
    str | None, typer.Option(help="What is spoken, by its code or name, such as de or German.")
]
SystemOption = Annotated[str | None, typer.Option(help="System message to begin with.")]
MaxTokensOption = Annotated[int | None, typer.Option(min=1, help="Most tokens of an answer.")]
TemperatureOption = Annotated[
    float | None, typer.Option(min=0.0, max=2.0, help="0: always the likeliest token.")
]
TopPOption = Annotated[
    float | None, typer.Option(min=0.0, max=1.0, help="Choose among this share of probability.")
]
TopKOption = Annotated[
    int | None, typer.Option(min=0, help="Choose among so many tokens; 0: among all.")
]
SeedOption = Annotated[int | None, typer.Option(help="The same seed gives the same answer.")]
ThinkingOption = Annotated[
    bool | None,
    typer.Option("--thinking/--no-thinking", help="Reason first, where the model can choose."),
]
