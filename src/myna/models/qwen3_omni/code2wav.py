"""Code2wav: frames of codes to samples of sound, in pieces that join without a seam.

What a piece needs of the ones before it is kept in a `State`, so the pieces equal the whole,
whatever their sizes. Transposed convolutions look one step ahead: the whole falls short of its
frames by a fixed number of samples, all of which the first piece lacks. Nothing is left to be
flushed after the last.

Not here: who makes the codes (talker, code_predictor), the decoder as few compiled calls
(code2wav_steps), and the sound's way to a listener.
Source: transformers 5.23 `Qwen3OmniMoeCode2Wav`; arXiv:2509.17765 §2.
Differs: the reference decodes long sound in pieces with context, and loses samples at each border;
q, k and v are one matrix, and so are gate and up.

Where there are more channels than time steps, most of the time goes into reading weights: such
convolutions are written as matrix products, which read them once, as they lie.

Axis letters beside the project's: U time steps after upsampling, S positions that a position sees
beside itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan

import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.layers.embedding import Embedding
from myna.layers.linear import Linear
from myna.layers.mlp import GatedMlp
from myna.layers.norm import RmsNorm
from myna.layers.rope import Rope, RopeTable
from myna.models.qwen3_omni.speech_config import Code2WavConfig

# The reference's code holds these; config.json has no key for them.
CONV_SIZE = 7
DILATIONS = (1, 3, 9)
CONVNEXT_WIDENING = 4
CONVNEXT_EPS = 1e-6
SNAKE_EPS = 1e-9


@dataclass
class Past:
    """Keep the last time steps that entered one convolution: (B, C, steps)."""

    steps: Tensor

    def extend(self, x: Tensor) -> Tensor:
        """Put the kept steps before x: (B, C, U) -> (B, C, steps+U), and keep the last of them."""
        whole = torch.cat((self.steps, x), -1)
        self.steps = whole[..., whole.shape[-1] - self.steps.shape[-1] :].clone()
        return whole


@dataclass
class Window:
    """Keep the last keys and values of one layer: (B, G, S, K) each, the newest at the end."""

    keys: Tensor
    values: Tensor

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Put the kept ones before k and v: (B, G, T, K) -> (B, G, S+T, K), and keep the last."""
        keys, values = torch.cat((self.keys, k), 2), torch.cat((self.values, v), 2)
        num_kept = self.keys.shape[2]
        self.keys = keys[:, :, keys.shape[2] - num_kept :].clone()
        self.values = values[:, :, values.shape[2] - num_kept :].clone()
        return keys, values


@dataclass
class State:
    """Hold what B streams carry from piece to piece; either all of them are fresh, or none is.

    What a fresh state has not seen is not a number, so that reading it cannot go unnoticed; but
    the pasts of causal convolutions begin with silence, zeros.

    Attributes:
        num_frames: of each stream, so far.
        windows: one for each transformer layer.
        pasts: one for each convolution that looks back.
    """

    num_frames: list[int]
    windows: list[Window]
    pasts: dict[nn.Module, Past]

    @property
    def is_fresh(self) -> bool:
        """Tell whether no stream has begun."""
        return not any(self.num_frames)


def join(states: Sequence[State]) -> State:
    """Make one state of several, to run their streams together."""
    first = states[0]
    assert len({state.is_fresh for state in states}) == 1, "fresh streams run apart from others"
    return State(
        num_frames=[count for state in states for count in state.num_frames],
        windows=[
            Window(torch.cat([w.keys for w in layer]), torch.cat([w.values for w in layer]))
            for layer in zip(*(state.windows for state in states), strict=True)
        ],
        pasts={
            conv: Past(torch.cat([state.pasts[conv].steps for state in states]))
            for conv in first.pasts
        },
    )


def split(state: State) -> list[State]:
    """Make a state of each stream."""
    return [
        State(
            num_frames=[count],
            windows=[Window(w.keys[i : i + 1], w.values[i : i + 1]) for w in state.windows],
            pasts={conv: Past(past.steps[i : i + 1]) for conv, past in state.pasts.items()},
        )
        for i, count in enumerate(state.num_frames)
    ]


@dataclass(frozen=True)
class View:
    """Say what the T new positions of each stream see, once a piece for all layers.

    Attributes:
        rope: rotations of B*T positions.
        first: kept positions before this one were written by no stream.
        allowed: (1 or B, 1, T, S+T-first) bool.
        unwritten: (B, 1, S+T-first, 1) bool, where only some streams have written; None if all.
    """

    rope: Rope
    first: int
    allowed: Tensor
    unwritten: Tensor | None


def view(rope_table: RopeTable, state: State, x: Tensor, *, window: int) -> View:
    """Plan the attention of a piece x: (B, T, D)."""
    num_new, kept = x.shape[1], window - 1
    begun = torch.tensor(state.num_frames).to(x.device)[:, None]  # (B, 1)
    steps = torch.arange(num_new, device=x.device)
    rope = rope_table.at((begun + steps).flatten(), x.dtype)
    first = kept - min(kept, max(state.num_frames))
    places = torch.arange(first, kept + num_new, device=x.device)
    allowed = (places >= steps[:, None]) & (places <= steps[:, None] + kept)  # (T, S+T-first)
    if len(set(state.num_frames)) == 1:
        return View(rope, first, allowed[None, None], None)
    unwritten = places < kept - begun.clamp(max=kept)  # (B, S+T-first)
    return View(rope, first, (allowed & ~unwritten[:, None])[:, None], unwritten[:, None, :, None])


class Attention(nn.Module):
    """Let each position attend to itself and the few before it."""

    def __init__(self, config: Code2WavConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.num_kv_heads = config.num_kv_heads
        self.head_width = config.head_width
        rows = (config.num_heads + 2 * config.num_kv_heads) * config.head_width
        bias = config.attention_bias
        self.qkv_proj = Linear(config.width, rows, bias=bias)
        self.o_proj = Linear(config.num_heads * config.head_width, config.width, bias=bias)

    def forward(self, x: Tensor, view: View, window: Window) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        heads = self.qkv_proj(x).flatten(0, 1).unflatten(-1, (-1, self.head_width))
        sizes = (self.num_heads, self.num_kv_heads, self.num_kv_heads)
        q, k, v = heads.split(sizes, dim=1)  # (B*T, H or G, K) each
        q, k, v = (
            part.unflatten(0, x.shape[:2]).transpose(1, 2)  # (B, H or G, T, K)
            for part in (view.rope.rotate(q), view.rope.rotate(k), v)
        )
        k, v = (part[:, :, view.first :] for part in window.extend(k, v))
        if view.unwritten is not None:
            k, v = k.masked_fill(view.unwritten, 0), v.masked_fill(view.unwritten, 0)
        out = functional.scaled_dot_product_attention(q, k, v, view.allowed, enable_gqa=True)
        return self.o_proj(out.transpose(1, 2).flatten(-2))


class LayerScale(nn.Module):
    """Multiply each channel by a number of its own. Source: arXiv:2103.17239."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(width), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to (..., D)."""
        return self.scale * x


class TransformerLayer(nn.Module):
    """Add scaled attention, then a scaled feed-forward network, to the residual stream."""

    def __init__(self, config: Code2WavConfig) -> None:
        super().__init__()
        self.input_layernorm = RmsNorm(config.width, eps=config.norm_eps)
        self.self_attn = Attention(config)
        self.self_attn_layer_scale = LayerScale(config.width)
        self.post_attention_layernorm = RmsNorm(config.width, eps=config.norm_eps)
        self.mlp = GatedMlp(config.width, config.hidden_width)
        self.mlp_layer_scale = LayerScale(config.width)

    def forward(self, x: Tensor, view: View, window: Window) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        attended = self.self_attn(self.input_layernorm(x), view, window)
        x = x + self.self_attn_layer_scale(attended)
        return x + self.mlp_layer_scale(self.mlp(self.post_attention_layernorm(x)))


class Transformer(nn.Module):
    """Let frames know the frames before them."""

    def __init__(self, config: Code2WavConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.num_layers))
        self.norm = RmsNorm(config.width, eps=config.norm_eps)
        self.rope_table = RopeTable(config.rope, config.head_width)
        self.window = config.window

    def forward(self, x: Tensor, state: State) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        seen = view(self.rope_table, state, x, window=self.window)
        for layer, window in zip(self.layers, state.windows, strict=True):
            x = layer(x, seen, window)
        return self.norm(x)


class Snake(nn.Module):
    """Compute x + sin²(x e^alpha) / e^beta, channel by channel. Source: arXiv:2006.08195."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.empty(num_channels), requires_grad=False)
        self.beta = nn.Parameter(torch.empty(num_channels), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, U) to (B, C, U)."""
        height = (self.beta.exp() + SNAKE_EPS).reciprocal()[:, None]
        return (x * self.alpha.exp()[:, None]).sin_().square_().mul_(height).add_(x)


class CausalConv(nn.Module):
    """Convolve each step with those before it."""

    def __init__(
        self, num_in: int, num_out: int, *, size: int, dilation: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        weight = torch.empty(num_out, num_in // groups, size)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(torch.empty(num_out), requires_grad=False)
        self.num_in = num_in
        self.num_past = (size - 1) * dilation
        self.dilation = dilation
        self.groups = groups

    def past(self, num_streams: int) -> Past:
        """Begin with silence."""
        return Past(self.bias.new_zeros(num_streams, self.num_in, self.num_past))

    def forward(self, x: Tensor, state: State) -> Tensor:
        """Map (B, C, U) to (B, C', U)."""
        is_product = self.groups == 1 and (self.num_past == 0 or x.shape[-1] < self.num_in)
        x = state.pasts[self].extend(x)
        if is_product:
            seen = x.unfold(-1, self.num_past + 1, 1)[..., :: self.dilation]  # (B, C, U, size)
            rows = seen.transpose(1, 2).flatten(2)
            return functional.linear(rows, self.weight.flatten(1), self.bias).transpose(1, 2)
        return functional.conv1d(
            x, self.weight, self.bias, dilation=self.dilation, groups=self.groups
        )


class TransposedConv(nn.Module):
    """Make `stride` steps of each step and, if the kernel is larger, of those before it.

    A step is made when all that it is made of is known; so a fresh stream lacks its first ones.
    """

    def __init__(self, num_in: int, num_out: int, *, size: int, stride: int) -> None:
        super().__init__()
        assert size % stride == 0, (size, stride)
        self.weight = nn.Parameter(torch.empty(num_in, num_out, size), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(num_out), requires_grad=False)
        self.num_in = num_in
        self.num_past = size // stride - 1
        self.stride = stride

    def past(self, num_streams: int) -> Past:
        """Begin with nothing."""
        return Past(self.bias.new_full((num_streams, self.num_in, self.num_past), nan))

    def forward(self, x: Tensor, state: State) -> Tensor:
        """Map (B, C, U) to (B, C', stride*U), or to `num_past * stride` fewer if fresh."""
        x = state.pasts[self].extend(x)
        if state.is_fresh:
            x = x[..., self.num_past :]
        if x.shape[-1] < self.num_in:
            return self._product(x)
        x = functional.conv_transpose1d(x, self.weight, self.bias, stride=self.stride)
        partial = self.num_past * self.stride  # steps at either end that lack a neighbour
        return x[..., partial : x.shape[-1] - partial]

    def _product(self, x: Tensor) -> Tensor:
        """Make what each step gives to itself and to later ones, and add up what meets."""
        made = (x.transpose(1, 2) @ self.weight.flatten(1)).unflatten(
            -1, (len(self.bias), self.num_past + 1, self.stride)
        )  # (B, U, C', steps later, stride)
        count = x.shape[-1] - self.num_past
        steps = made[:, self.num_past :, :, 0]
        for later in range(1, self.num_past + 1):
            first = self.num_past - later
            steps = steps + made[:, first : first + count, :, later]
        return steps.transpose(1, 2).flatten(2) + self.bias[:, None]


class ConvNextBlock(nn.Module):
    """Mix each channel over time, then all channels of a step. Source: arXiv:2201.03545."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = CausalConv(width, width, size=CONV_SIZE, groups=width)
        self.norm = nn.LayerNorm(width, eps=CONVNEXT_EPS)
        self.pwconv1 = Linear(width, CONVNEXT_WIDENING * width, bias=True)
        self.pwconv2 = Linear(CONVNEXT_WIDENING * width, width, bias=True)
        self.gamma = nn.Parameter(torch.empty(width), requires_grad=False)

    def forward(self, x: Tensor, state: State) -> Tensor:
        """Map (B, C, U) to (B, C, U)."""
        steps = self.norm(self.dwconv(x, state).transpose(1, 2))  # (B, U, C)
        steps = self.gamma * self.pwconv2(functional.gelu(self.pwconv1(steps)))
        return x + steps.transpose(1, 2)


class ResidualUnit(nn.Module):
    """Add what two convolutions make of x."""

    def __init__(self, num_channels: int, *, dilation: int) -> None:
        super().__init__()
        self.act1 = Snake(num_channels)
        self.conv1 = CausalConv(num_channels, num_channels, size=CONV_SIZE, dilation=dilation)
        self.act2 = Snake(num_channels)
        self.conv2 = CausalConv(num_channels, num_channels, size=1)

    def forward(self, x: Tensor, state: State) -> Tensor:
        """Map (B, C, U) to (B, C, U)."""
        return x + self.conv2(self.act2(self.conv1(self.act1(x), state)), state)


class DecoderBlock(nn.Module):
    """Make `rate` steps of each, with half as many channels."""

    def __init__(self, num_channels: int, *, rate: int) -> None:
        super().__init__()
        half = num_channels // 2
        self.block = nn.ModuleList(
            [
                Snake(num_channels),
                TransposedConv(num_channels, half, size=2 * rate, stride=rate),
                *(ResidualUnit(half, dilation=dilation) for dilation in DILATIONS),
            ]
        )

    def forward(self, x: Tensor, state: State) -> Tensor:
        """Map (B, C, U) to (B, C/2, rate*U), or to `rate` fewer if fresh."""
        snake, *rest = self.block
        x = snake(x)
        for part in rest:
            x = part(x, state)
        return x


class Code2Wav(nn.Module):
    """Turn frames of codes into samples.

    Attributes:
        waves: makes (B, W) of (B, D, U) features in place of `decoder`, if there is one.
    """

    def __init__(self, config: Code2WavConfig) -> None:
        super().__init__()
        self.config = config
        self.code_embedding = Embedding(config.codebook_size * config.num_codebooks, config.width)
        self.pre_transformer = Transformer(config)
        self.upsample = nn.ModuleList(
            nn.ModuleList(
                [
                    TransposedConv(config.width, config.width, size=ratio, stride=ratio),
                    ConvNextBlock(config.width),
                ]
            )
            for ratio in config.upsample_ratios
        )
        first, rates = config.decoder_width, config.upsample_rates
        self.decoder = nn.ModuleList(
            [
                CausalConv(config.width, first, size=CONV_SIZE),
                *(DecoderBlock(first >> i, rate=rate) for i, rate in enumerate(rates)),
                Snake(first >> len(rates)),
                CausalConv(first >> len(rates), 1, size=CONV_SIZE),
            ]
        )
        self.waves: Callable[[Tensor, State], Tensor] | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Give the dtype of activations."""
        return self.pre_transformer.norm.weight.dtype

    @property
    def device(self) -> torch.device:
        """Tell where the weights are."""
        return self.pre_transformer.norm.weight.device

    def num_samples(self, num_frames: int) -> int:
        """Count the samples of a stream's first `num_frames` frames."""
        num_missing = 0
        for rate in self.config.upsample_rates:
            num_missing = (num_missing + 1) * rate
        return max(0, num_frames * self.config.frame_samples - num_missing)

    def fresh_state(self, num_streams: int = 1) -> State:
        """Make the state of streams that have not begun."""
        config, like = self.config, self.pre_transformer.norm.weight
        shape = (num_streams, config.num_kv_heads, config.window - 1, config.head_width)
        convs = [part for part in self.modules() if isinstance(part, CausalConv | TransposedConv)]
        return State(
            num_frames=[0] * num_streams,
            windows=[
                Window(like.new_full(shape, nan), like.new_full(shape, nan))
                for _ in range(config.num_layers)
            ],
            pasts={conv: conv.past(num_streams) for conv in convs},
        )

    def forward(self, codes: Tensor, state: State) -> Tensor:
        """Decode the next piece of each stream.

        Args:
            codes: (B, Q, T) int64, T at least 1.
            state: where the B streams stand; it is moved on.

        Returns:
            (B, W) samples from -1 to 1: T times `frame_samples`, of a fresh stream fewer.
        """
        x = self.features(codes, state)
        wave = (self.waves or self._waves)(x, state).clamp(-1, 1)
        state.num_frames = [count + codes.shape[-1] for count in state.num_frames]
        return wave

    def _waves(self, x: Tensor, state: State) -> Tensor:
        """Run the decoder: (B, D, U) -> (B, W)."""
        first, *blocks, snake, last = self.decoder
        x = first(x, state)
        for block in blocks:
            x = block(x, state)
        return last(snake(x), state)[:, 0]

    def features(self, codes: Tensor, state: State) -> Tensor:
        """Make what waves are made of: (B, Q, T) int64 -> (B, D, U), U steps a frame.

        The state's streams are not counted on; `forward` does that.
        """
        config = self.config
        assert codes.shape[:2] == (len(state.num_frames), config.num_codebooks), codes.shape
        assert not codes.is_cpu or int(codes.max()) < config.codebook_size, (
            "a code of another codebook or a control"  # elsewhere, to look would be to wait
        )
        offsets = torch.arange(config.num_codebooks, device=codes.device) * config.codebook_size
        x = self.code_embedding(codes + offsets[:, None], self.dtype).mean(1)  # (B, T, D)
        x = self.pre_transformer(x, state).transpose(1, 2)  # (B, D, T)
        for widen, mix in self.upsample:
            x = mix(widen(x, state), state)
        return x

    def decode(self, codes: Tensor) -> Tensor:
        """Decode whole streams at once: (B, Q, T) -> (B, W)."""
        return self(codes, self.fresh_state(len(codes)))
