"""The stages in order, their limits, and the sizes that make the difference between a run and a rehearsal."""

LIMITS = {"A": 20, "B": 80, "C": 90, "D": 110, "E": 70, "F": 30, "G": 20, "H": 600, "I": 120}  # seconds
"""Seconds on an H100; PATIENCE multiplies them."""
ON_REQUEST = "H"
MODULES = {
    "A": "limits",
    "B": "marked_tests",
    "C": "unsloth_path",
    "D": "memory",
    "E": "series",
    "F": "generation",
    "G": "handover",
    "H": "seeds",
    "I": "shared_steps",
}
WHAT = {
    "A": "it is all there",
    "B": "tests marked gpu",
    "C": "unsloth as the notebooks do it",
    "D": "memory of a T4",
    "E": "the embedded series",
    "F": "generation",
    "G": "hand-over to trl and accelerate",
    "H": "three seeds",
    "I": "steps with shared prompts",
}
REHEARSAL_PATIENCE = 8
"""A rehearsal computes on a processor, so its limits are wider."""

TINY = {
    "layers": 2,
    "hidden": 64,
    "intermediate": 128,
    "heads": 4,
    "kv_heads": 2,
    "head_dim": 16,
    "vocab": 49152,
    "tied": True,
    "qk_norm": True,
}
SIZES = {
    "product": 8192,  # rows and columns of the square matrices
    "copy_mib": 4096,
    "repeats": 10,
    "student": "qwen3-4b",  # D and F: a shape of the registry
    "fast_student": "qwen3-0.6b",  # C
    "steps": 20,
    "held_rows": 16,
    "lengths": [1024, 512],  # tokens of a row
    "paper_length": 2048,
    "memory_steps": 4,
    "rows_at_once": [1, 32],
    "new_tokens": 200,
    "profile": "embedded",  # E and H
    "seeds": [42, 43, 44],
    # I: the kind of block, blocks in a step, tokens of a prompt and of a response; what tells most comes first
    "shared_steps": {
        "embedded": [
            ("six rows", 4, 256, 256),
            ("six rows", 1, 24, 72),  # as on a processor
            ("six rows", 4, 64, 448),
            ("six rows", 4, 448, 64),
            ("pair", 12, 256, 256),
        ],
        "large": [("six rows", 1, 256, 256), ("six rows", 1, 64, 448)],
    },
}
REHEARSAL = SIZES | {
    "product": 512,
    "copy_mib": 16,
    "repeats": 3,
    "student": "tiny",
    "fast_student": "tiny",
    "steps": 2,
    "held_rows": 4,
    "lengths": [256, 192],
    "paper_length": 256,
    "memory_steps": 2,
    "rows_at_once": [1, 4],
    "new_tokens": 8,
    "profile": "smoke",
    "seeds": [42, 43],
    "shared_steps": {"embedded": [("six rows", 2, 6, 4), ("pair", 3, 6, 4)], "large": [("six rows", 1, 6, 4)]},
}


def asked(text: str) -> list[str]:
    """The letters of STAGES ("B D"), or all that need not be asked for; SystemExit names an unknown one."""
    wanted = text.upper().replace(",", " ").split() or [name for name in MODULES if name not in ON_REQUEST]
    for name in wanted:
        if name not in MODULES:
            raise SystemExit(f"There is no stage {name!r}: STAGES takes letters of {' '.join(MODULES)}.")
    return wanted


def shape_of(student: str) -> dict:
    """The shape of a model of the registry, or of the rehearsal's tiny one."""
    from cpt_utils.runtime.catalogue import find_model

    return TINY if student == "tiny" else find_model(student)["shape"]
