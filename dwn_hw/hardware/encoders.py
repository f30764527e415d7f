"""How a thermometer encoder may take its codes. Whatever else is said of an encoder is derived from this table."""

from __future__ import annotations

from dataclasses import dataclass

#: The names, for what asks which of them a design has.
PARALLEL, STREAMED = "parallel", "streamed"


@dataclass(frozen=True, slots=True)
class Encoder:
    """``name``: what ``--encoder`` takes. ``help``: what the command line says of it, in few words.

    ``needs_streams``: whether only shells with a handshake and a reset may have it.
    """

    name: str
    help: str
    needs_streams: bool


#: The encoders by name; :mod:`dwn_hw.hardware.streamed_encoder_plan` is the plan of the streamed one.
ENCODERS = {
    encoder.name: encoder
    for encoder in (
        Encoder(PARALLEL, "all features at once", needs_streams=False),
        Encoder(STREAMED, "one a clock", needs_streams=True),
    )
}

#: The encoder of a design for which none was asked.
DEFAULT = PARALLEL
