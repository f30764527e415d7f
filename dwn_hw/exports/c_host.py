"""``host/dwn_host.h``, or another name than ``dwn``: the host's side of the serial line in C99, for users without Python there.

Encodes numbers as :func:`dwn_hw.ir.codes.encode` does and frames as :mod:`dwn_hw.hardware.serial_frames`; opens no port and
allocates nothing, so that it serves a microcontroller as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from dwn_hw.exports import columns_text
from dwn_hw.hardware import naming, serial_frames
from dwn_hw.hardware.interface import Interface
from dwn_hw.hardware.serial_frames import Kind, Layout, Refusal

_FIXED = r"""
/* The code of a feature for a number in the units of the export: @WORDS@, saturating. Not for NaN. */
static inline int64_t dwn_code(int feature, double value)
{
    double code = (value - dwn_offset[feature]) * dwn_rate[feature];
    code = @ROUND@;
    if (code < (double)dwn_low[feature]) return dwn_low[feature];
    if (code > (double)dwn_high[feature]) return dwn_high[feature];
    return (int64_t)code;
}

/* A sample as a frame carries it. */
static inline void dwn_encode(const int64_t codes[DWN_FEATURES], uint8_t sample[DWN_SAMPLE_BYTES])
{
    memset(sample, 0, DWN_SAMPLE_BYTES);
    for (int f = 0; f < DWN_FEATURES; f++)
        for (int bit = 0; bit < dwn_bits[f]; bit++)
            if ((uint64_t)codes[f] >> bit & 1) {
                long at = dwn_lsb[f] + bit;
                sample[at / 8] = (uint8_t)(sample[at / 8] | 1 << at % 8);
            }
}

static inline int64_t dwn_field(const uint8_t *bytes, int lsb, int bits, int is_signed)
{
    uint64_t value = 0;
    for (int bit = 0; bit < bits; bit++) value |= (uint64_t)(bytes[(lsb + bit) / 8] >> (lsb + bit) % 8 & 1) << bit;
    if (is_signed && value >> (bits - 1) & 1) return (int64_t)value - ((int64_t)1 << bits);
    return (int64_t)value;
}

static inline uint16_t dwn_crc16(uint16_t crc, uint8_t byte)
{
    crc = (uint16_t)(crc ^ byte);
    for (int bit = 0; bit < 8; bit++) crc = (uint16_t)(crc & 1 ? crc >> 1 ^ 0x8408 : crc >> 1);
    return crc;
}

static inline size_t dwn_stuff(uint8_t *out, uint8_t byte)
{
    if (byte != 0x7E && byte != 0x7D) return out[0] = byte, 1;
    out[0] = 0x7D;
    out[1] = byte ^ 0x20;
    return 2;
}

/* A request as it goes over the line; how many bytes, at most DWN_FRAME_MAX(length). */
static inline size_t dwn_frame(uint8_t kind, uint8_t number, const uint8_t *payload, uint16_t length, uint8_t *out)
{
    uint8_t head[4] = {kind, number, (uint8_t)(length & 0xFF), (uint8_t)(length >> 8)};
    uint16_t crc = 0xFFFF;
    size_t size = 0;
    out[size++] = 0x7E;
    for (int i = 0; i < 4 + length; i++) {
        uint8_t byte = i < 4 ? head[i] : payload[i - 4];
        crc = dwn_crc16(crc, byte);
        size += dwn_stuff(out + size, byte);
    }
    crc = (uint16_t)~crc;
    size += dwn_stuff(out + size, (uint8_t)(crc & 0xFF));
    size += dwn_stuff(out + size, (uint8_t)(crc >> 8));
    out[size++] = 0x7E;
    return size;
}

/* Takes the line's bytes one by one; begin with all zeros. */
struct dwn_decoder {
    uint8_t content[DWN_REPLY_MAX + 6]; /* kind, number, length, payload, CRC */
    size_t size;
    int escaped, spoiled;
};

/* Whether BYTE completes a frame with a right CRC and length: then content is it until the next byte, its payload of
   content[2] + 256 * content[3] bytes from content[4] on. */
static inline int dwn_receive(struct dwn_decoder *d, uint8_t byte)
{
    if (byte == 0x7E) {
        uint16_t crc = 0xFFFF;
        size_t size = d->size;
        for (size_t i = 0; i < size; i++) crc = dwn_crc16(crc, d->content[i]);
        int good = !d->spoiled && !d->escaped && crc == 0xF0B8 && size >= 6 &&
                   size == 6u + d->content[2] + 256u * d->content[3];
        d->size = 0;
        d->escaped = d->spoiled = 0;
        return good;
    }
    if (byte == 0x7D && !d->escaped) {
        d->escaped = 1;
        return 0;
    }
    if (d->size == sizeof d->content) d->spoiled = 1;
    else d->content[d->size++] = (uint8_t)(d->escaped ? byte ^ 0x20 : byte);
    d->escaped = 0;
    return 0;
}
"""


#: How a number becomes a code, in words and in C, for each of :data:`ir.integer_nodes.ROUNDINGS`.
_ROUND = {
    "floor": ("the one at or below", "floor(code)"),
    "half_up": ("the nearest, the higher one of two", "floor(code + 0.5)"),
    "half_even": ("the nearest, the even one of two", "nearbyint(code)"),
}


def header(interface: Interface) -> str:
    """The text of ``host/<name>_host.h`` for an export that ``interface`` describes; its core must have streams."""
    layout = interface.layout
    identity = layout.identity()
    constants = {
        "DWN_FEATURES": len(interface.input.features),
        "DWN_SAMPLE_BYTES": layout.sample_bytes,
        "DWN_RESULT_BYTES": layout.result_bytes,
        "DWN_BATCH": layout.batch,
        "DWN_IDENTITY_BYTES": len(identity),
        "DWN_REPLY_MAX": max(layout.batch * layout.result_bytes, len(identity)),
        **{f"DWN_{kind.name}": kind.value for kind in Kind},
        "DWN_REPLY": serial_frames.REPLY,
        **{f"DWN_{refusal.name}": refusal.value for refusal in Refusal},
    }
    lines = [
        f"/* Written by {interface.tool}: the host's side of network {interface.digest} on a serial line, in C99.",
        "   A request is a frame of kind DWN_RUN with up to DWN_BATCH samples, DWN_IDENTIFY or DWN_STATISTICS (no payload).",
        "   The reply has the request's number and its kind + DWN_REPLY, or refuses it with a kind of DWN_DAMAGED and above:",
        "   send it again, under a new number, also when no reply comes. Ask for the identity first, and compare it with",
        "   dwn_identity. Link with -lm. */",
        "#ifndef DWN_HOST_H",
        "#define DWN_HOST_H",
        "",
        *(f"#include <{name}.h>" for name in ("math", "stddef", "stdint", "string")),
        "",
        *(f"#define {name} {value}" for name, value in constants.items()),
        "#define DWN_FRAME_MAX(length) (2 * ((length) + 6) + 2)",
        "",
        _table("uint8_t", "dwn_identity[DWN_IDENTITY_BYTES]", map(str, identity)),
        *columns_text.to_comment(interface.input.table),
        *_features(interface, layout),
    ]
    words, call = _ROUND[interface.input.rounding]
    fixed = _FIXED.replace("@WORDS@", words).replace("@ROUND@", call)
    text = "\n".join(lines) + fixed + _results(interface, layout) + "\n#endif\n"
    return naming.renamed_c(text, interface.name)


def _features(interface: Interface, layout: Layout) -> list[str]:
    """Tables by feature: where its code lies in a sample, and how a number becomes one."""
    features = interface.input.features
    in_turn = layout.transfers > 1
    ends = [(-(1 << f.bits - 1), (1 << f.bits - 1) - 1) if f.signed else (0, (1 << f.bits) - 1) for f in features]
    # In turn, each is extended to the port's width; 64 bits of a code are all that there are.
    places = [8 * layout.x_bytes * f.index if in_turn else f.lsb for f in features]
    bits = [min(64, layout.x_bits) if in_turn else f.bits for f in features]
    size = "[DWN_FEATURES]"
    return [
        _table("long", f"dwn_lsb{size}", map(str, places)),
        _table("int", f"dwn_bits{size}", map(str, bits)),
        _table("int64_t", f"dwn_low{size}", (str(low) for low, _ in ends)),
        _table("int64_t", f"dwn_high{size}", (str(high) for _, high in ends)),
        _table("double", f"dwn_rate{size}", (float(1 / Fraction(f.step)).hex() for f in features)),
        _table("double", f"dwn_offset{size}", (float(Fraction(f.offset)).hex() for f in features)),
    ]


def _table(kind: str, name: str, values: Iterable[str]) -> str:
    """A constant array, some values a line."""
    lines, line = [], ""
    for value in values:
        if len(line) + len(value) > 110:
            lines.append(line.rstrip())
            line = ""
        line += f"{value}, "
    body = "\n    ".join([*lines, line.rstrip(", ")])
    return f"static const {kind} {name} = {{\n    {body}\n}};"


def _results(interface: Interface, layout: Layout) -> str:
    """What a result holds, and how it is read."""
    fields = [(f.name.replace("class", "class_index"), f) for f in interface.output.fields]
    members = "".join(f"    int64_t {name}[{f.count}];\n" for name, f in fields)
    reads = "".join(
        f"    for (int i = 0; i < {f.count}; i++)\n"
        f"        result->{name}[i] = dwn_field(bytes, {f.lsb} + {f.bits} * i, {f.bits}, {int(f.signed)});\n"
        for name, f in fields
    )
    at = 8 * layout.y_bytes
    return f"""
/* A result; clocks from the last code that came in to it. */
struct dwn_result {{
{members}    uint32_t clocks;
}};

static inline void dwn_decode(const uint8_t bytes[DWN_RESULT_BYTES], struct dwn_result *result)
{{
{reads}    result->clocks = (uint32_t)dwn_field(bytes, {at}, {8 * serial_frames.CLOCK_BYTES}, 0);
}}
"""
