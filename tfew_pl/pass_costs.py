"""What a pass through a T5 stack costs, by its shape: whether to share, to pack or to split is decided by it."""

from dataclasses import dataclass

from transformers import T5Config

PAIR = 4
"""Multiplications of attention take so many times as long as those of linear maps: their products are small, and there
are passes over memory between them."""
MOVED = {"cpu": 60}
"""Multiplications for which there is time while a number goes from one place in memory to another, by kind of device.
Measured with pocket-t0 and T5-small's shape."""
MOVED_ELSEWHERE = 600
"""The same for a GPU, from an H100's data sheet, not measured."""


@dataclass(frozen=True)
class PassCosts:
    """Of a layer, in multiplications of linear maps."""

    vector: float
    """Of a vector: its linear maps."""
    pair: float
    """Of a query and a key."""
    move: float
    """Of a vector that is packed: what goes into attention and comes out of it changes places."""

    @classmethod
    def of(cls, config: T5Config, device: str, *, decoder: bool) -> "PassCosts":
        """Those of a stack of a T5, on a kind of device."""
        inner, maps = config.num_heads * config.d_kv, 6 if decoder else 4  # cross-attention's keys are the encoder's
        feed_forward = (3 if config.is_gated_act else 2) * config.d_ff
        return cls(
            vector=config.d_model * (maps * inner + feed_forward),
            pair=PAIR * 2 * inner,
            move=MOVED.get(device, MOVED_ELSEWHERE) * maps * inner,
        )

    def padded(self, sequences: int, longest: int) -> float:
        """Of so many sequences, padding included."""
        return sequences * longest * (self.vector + longest * self.pair)

    def packed(self, vectors: int, sequences: int, longest: int) -> float:
        """Of the same in rows of so many vectors in all."""
        return vectors * (self.vector + self.move) + sequences * longest**2 * self.pair
