"""What is said to be passed over for certain is passed over by a real preprocessor."""

from __future__ import annotations

import random
import subprocess

from distplusplus.compiler.conditionals import passed_over

MACROS = [f"M{number}" for number in range(5)]


def condition(rng: random.Random, depth: int = 0) -> str:
    macro = rng.choice(MACROS)
    simple = (
        f"defined({macro})",
        f"defined {macro}",
        macro,
        f"{macro} {rng.choice(('==', '!=', '<', '<=', '>', '>='))} {rng.randrange(3)}",
        str(rng.randrange(2)),
        f"__has_include(<{macro}>)",
        f"{macro} + 1",
    )
    if depth == 3 or rng.random() < 0.4:
        return rng.choice(simple)
    one, other = condition(rng, depth + 1), condition(rng, depth + 1)
    return rng.choice((f"{one} && {other}", f"{one} || {other}", f"({one}) && !({other})", f"!({one})", f"!{one}"))


def source(rng: random.Random) -> list[str]:
    lines: list[str] = []
    for _ in range(12):
        lines += [
            f"#if {condition(rng)}",
            "#pragma message",
            f"#ifdef {rng.choice(MACROS)} /*",
            "*/",
            "#pragma message",
        ]
        lines += [f"#elif {condition(rng)}", "#pragma message", "#else", "#pragma message", "#endif"]
        lines += [f"#elif \\\n {condition(rng)}", "#pragma message", "# else // not", "#pragma message", "#endif"]
    return "\n".join(lines).split("\n")


def test_no_line_that_is_passed_over_for_certain_is_reached() -> None:
    rng = random.Random(1)
    proved = 0
    for _ in range(60):
        lines = source(rng)
        found = passed_over("\n".join(lines).encode())
        # Where a pragma stands, the preprocessed text has a word that tells whether the line was reached.
        marked = [f"reached_{number}" if line == "#pragma message" else line for number, line in enumerate(lines, 1)]
        defined = set(rng.sample(MACROS, rng.randrange(4)))
        options = [f"-D{macro}={rng.randrange(3)}" for macro in defined]
        command = ["gcc", "-E", "-P", "-x", "c", *options, "-"]
        done = subprocess.run(command, input="\n".join(marked), capture_output=True, text=True, check=True)
        reached = set(done.stdout.split())
        assert len(found) == lines.count("#pragma message")
        for number, alternatives in found.items():
            if any(not {macro.decode() for macro in macros} & defined for macros in alternatives):
                proved += 1
                assert f"reached_{number}" not in reached, "\n".join((*options, *marked))
    assert proved > 500
