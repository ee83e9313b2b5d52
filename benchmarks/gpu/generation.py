"""Stage F: tokens a second of transformers' generate, of our loop and of unsloth, on a random 4-bit model."""

import time

from benchmarks.gpu import students
from benchmarks.gpu.limits import synchronize
from benchmarks.gpu.stage import Stage, check_parts, has
from benchmarks.gpu.stages import shape_of
from cpt_utils.runtime.catalogue import weight_bytes


def run(stage: Stage) -> None:
    stage.keep(bytes_per_step=weight_bytes(shape_of(stage.sizes["student"]), four_bit=True))  # each is read once
    stage.run_part("transformers", 0.65 if has("unsloth") else 1.0)
    if has("unsloth"):
        stage.run_part("unsloth")
    check_parts(stage)


def run_part(stage: Stage) -> None:
    if stage.part == "unsloth":
        import unsloth  # noqa: F401  it must come before transformers
    import torch

    from cpt_utils.models.loading import load_student
    from cpt_utils.runtime import profiles

    student = students.random_student(stage.folder, f"{stage.sizes['student']}-nf4")
    profile = profiles.load_profile("t4").replace(engine=stage.part, student=student)
    chat_model = load_student(profile)
    model, tokenizer = chat_model.model, chat_model.tokenizer
    model.generation_config.eos_token_id = None  # every text has its whole length
    if stage.part == "unsloth":
        from unsloth import FastLanguageModel

        FastLanguageModel.for_inference(model)
    ways = {"unsloth": by_library} if stage.part == "unsloth" else {"ours": by_our_loop, "generate": by_library}
    for count in stage.sizes["rows_at_once"]:
        batch = questions(tokenizer, count).to(model.device)
        for name, way in ways.items():
            way(model, batch, 4)  # warms up
            tokens, seconds = stage.sizes["new_tokens"], time.perf_counter()
            with torch.inference_mode():
                texts = way(model, batch, tokens)
            synchronize(model.device.type)
            seconds = time.perf_counter() - seconds
            if texts.shape != (count, tokens):
                raise AssertionError(f"{name} wrote {tuple(texts.shape)} tokens, not {(count, tokens)}")
            stage.keep(**{f"{name}_{count}": count * tokens / seconds})
        if len(ways) == 2:
            stage.keep(**{f"same_tokens_{count}": same_tokens(model, batch, stage.sizes["new_tokens"])})


def questions(tokenizer, count: int):
    """That many different conversations, left-padded."""
    from cpt_utils.models.conversation import templated
    from cpt_utils.prompts import load_prompts, messages, system_prompt

    texts = []
    for prompt in load_prompts():
        for target in ("low", "high"):
            turns = messages(prompt["prompt"], system_prompt("rococo", target))
            texts.append(templated(tokenizer, turns, tokenize=False, add_generation_prompt=True))
    texts = texts[:count]
    return tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)


def by_our_loop(model, batch, tokens: int):
    """The CPU's, to know that the library's is the right one on this GPU."""
    import torch

    from cpt_utils.fast.decoding import own_loop
    from cpt_utils.fast.sampling import Sampling

    with torch.inference_mode():
        return own_loop(model, batch, Sampling(max_new_tokens=tokens, ends=[-1], pad_token_id=2))


def by_library(model, batch, tokens: int):
    """Greedy, by `model.generate`; returns the new tokens."""
    whole = model.generate(**batch, max_new_tokens=tokens, do_sample=False, pad_token_id=2)
    return whole[:, batch["input_ids"].shape[1] :]


def same_tokens(model, batch, tokens: int) -> float:
    """Share of greedy tokens that our loop and the library agree on; in half precision ties part them."""
    few = min(tokens, 16)
    return (by_our_loop(model, batch, few) == by_library(model, batch, few)).float().mean().item()
