"""What was checked of an export and what was proven, each with how many things were compared, and digests of what it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dwn_hw.errors import ExportError
from dwn_hw.exports import verilog_checksums
from dwn_hw.exports.page.blocks import Block, Table, Words
from dwn_hw.exports.page.kept_facts import Facts, at, number, rows, text


def verified(facts: Facts) -> tuple[str, str]:
    """The strongest that is known, in a word, and on what it rests."""
    if at(facts.proof, "proven") is True:
        return "proven", f"for all inputs, {len(rows(facts.proof, 'claims'))} claims"
    compared = [found for found in facts.simulations.values() if at(found, "equal") is True]
    if compared:
        most = max(number(found, "vectors") or 0 for found in compared)
        return "equal", f"{most:,} vectors simulated"
    return ("frozen", "compared with the model") if at(facts.report, "checked") else ("unknown", "no record")


def checked(facts: Facts) -> Iterator[Block]:
    """Tables of all checks, and what would add to them."""
    yield Words("As the files of the export say; the commands at the end of this page find it out again.")
    said = at(facts.report, "checked")
    table: list[tuple[str, str, float | int | None]] = []
    if isinstance(said, dict):
        reference = text(said, "reference") or "the model"
        names = {
            "encoder_bits": "encoder bits equal to the model's comparisons",
            "group_sums": f"sums equal to {reference}",
        }
        names |= {"optimized_sums": "sums equal after optimisation", "scores": f"scores equal to {reference}"}
        table += [("export", what, number(said, key)) for key, what in names.items() if number(said, key) is not None]
    for name, found in facts.simulations.items():
        outcome = "equal" if at(found, "equal") is True else "not equal"
        what = f"vectors {outcome} in {text(found, 'simulator') or 'a simulator'}"
        table.append((f"verify, {name}", what, number(found, "vectors")))
        if (values := number(found, "node_values")) is not None:
            table.append((f"verify, {name}", f"values of nodes {outcome}", values))
    if table:
        yield Table(("by", "what was compared", "how many"), table)
    if not facts.simulations:
        yield Words("No simulation is on record: `dwn-hw verify` compares every node.", "missing")
    if facts.proof is None:
        yield Words("Not proven: `dwn-hw prove` proves parallel hardware for all inputs.", "missing")
    else:
        yield from _proof(facts)
    if edited := _edited(facts):
        yield Words(
            f"WARNING: the Verilog is not as it was exported ({edited}): what is said above is of what it was.", "bad"
        )
    yield Table(("digest of", "is"), _digests(facts))


def _edited(facts: Facts) -> str:
    try:
        verilog_checksums.check(facts.exported.folder / "rtl")
    except ExportError as error:
        return ", ".join(f"{Path(problem.thing).name}: {problem.got}" for problem in error.problems[:5])
    return ""


def _proof(facts: Facts) -> Iterator[Block]:
    claims = rows(facts.proof, "claims")
    whole = at(facts.proof, "proven") is True
    yield Words("Proven for all inputs." if whole else "Not all of it is proven.", "good" if whole else "bad")
    table = [
        (
            text(claim, "name"),
            text(claim, "what"),
            text(claim, "how"),
            "proven" if at(claim, "proven") is True else "open",
        )
        for claim in claims
    ]
    yield Table(("claim", "what", "how", "state"), table)


def _digests(facts: Facts) -> list[tuple[str, str]]:
    folder = facts.exported.folder
    found = [("the network", facts.exported.interface.digest)]
    for name in (f"rtl/{verilog_checksums.SUMS}", "network.safetensors", "interface.json"):
        if (folder / name).is_file():
            found.append((name, verilog_checksums.digest(folder / name)))
    builds = facts.builds.items()
    return found + [(f"bitstream, {name}", said) for name, build in builds if (said := text(build, "bitstream_sha256"))]
