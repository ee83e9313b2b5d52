"""Helpers for the Configurable Preference Tuning notebooks. Names load on first use, so import is light."""

import importlib
import os

# Before PyTorch is loaded: threads that wait must not spin, or one busy neighbour on two cores stops everything.
# On Linux they spin for some microseconds first: up to a quarter faster alone, and beside one still within a factor
# of three (benchmarks/neighbour.py).
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")

_PLACES = {
    "Rubric": "rubrics",
    "RubricError": "runtime.errors",
    "load_rubric": "rubrics",
    "shipped_rubrics": "rubrics",
    "load_responses": "prompts",
    "load_prompts": "prompts",
    "system_prompt": "prompts",
    "embedded_judge": "judging",
    "LLMJudge": "llm_judging",
    "Judgement": "judging",
    "generate_responses": "generation",
    "build_mirrored_pairs": "pairs",
    "load_chat_model": "models.loading",
    "chat": "models.conversation",
    "MirroredDPOTrainer": "training",
    "steerability": "evaluation",
    "rubric_studio": "widgets.studio",
    "steering_desk": "widgets.desk",
    "token_log_ratios": "models.logps",
}
__all__ = sorted(_PLACES)


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"cpt_utils has no attribute {name!r}")
    return getattr(importlib.import_module(f"cpt_utils.{_PLACES[name]}"), name)
