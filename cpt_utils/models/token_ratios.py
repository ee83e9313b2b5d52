"""Where in a text does tuning act? The log-ratio of two models, token by token."""

from cpt_utils.runtime.catalogue import ModelError


def token_log_ratios(tuned, base, turns: list[dict], response: str) -> list[tuple[str, float]]:
    """log p_tuned - log p_base of each token of a response to a conversation, in nats, with its text.

    The last token is the end-of-turn mark. Summed, the ratios are DPO's implicit reward divided by beta.
    A character that takes several tokens comes as one entry with their sum. Both models (models.ChatModel)
    must share their tokenizer.
    """
    if tuned.tokenizer.get_vocab() != base.tokenizer.get_vocab():
        raise ModelError("The two models have different vocabularies: compare a model with its own base.")
    prompt, answer = _token_ids(tuned.tokenizer, turns, response)
    ratios = _log_probs(tuned.model, prompt, answer) - _log_probs(base.model, prompt, answer)
    pieces, done, waiting = [], "", 0.0
    for end, ratio in enumerate(ratios.tolist(), 1):
        waiting += ratio
        text = tuned.tokenizer.decode(answer[:end])
        if text.endswith("\ufffd") and end < len(answer):  # part of a character: its other bytes follow
            continue
        pieces.append((text[len(done) :], waiting))
        done, waiting = text, 0.0
    return pieces


def _token_ids(tokenizer, turns: list[dict], response: str) -> tuple[list[int], list[int]]:
    """Ids of the conversation up to the answer, and of the answer with its end mark."""
    from cpt_utils.models import templated

    prompt = templated(tokenizer, turns, add_generation_prompt=True)
    whole = templated(tokenizer, [*turns, {"role": "assistant", "content": response}])
    if whole[: len(prompt)] != prompt:
        raise ModelError("The chat template changes the prompt once an answer follows: use another model.")
    answer = whole[len(prompt) :]
    if tokenizer.eos_token_id in answer:  # what templates add after the mark is never generated
        answer = answer[: answer.index(tokenizer.eos_token_id) + 1]
    return prompt, answer


def _log_probs(model, prompt: list[int], answer: list[int]):
    """Log-probability of each token of the answer, (len(answer),), in float32 on the CPU."""
    import torch

    ids = torch.tensor([prompt + answer], device=model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float()
        return logits.log_softmax(-1).gather(1, ids[0, len(prompt) :, None])[:, 0].cpu()
