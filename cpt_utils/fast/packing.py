"""Rows packed so that every distinct sequence is computed once: the collator and its log-probabilities."""

import torch
from torch.nn.utils.rnn import pad_sequence

from cpt_utils.fast.output_layer import NO_LABEL, token_logps

PADDING, PROMPT = -2, -1  # in `segment`, where responses are numbered from 0


class PackedCollator:
    """Packs rows so that each distinct prompt, and each distinct response to it, appears once.

    The six rows of one (prompt, rubric) hold 12 sequences but only 3 prompts (one per system prompt)
    and 9 (prompt, response) combinations. Each prompt becomes one line of tokens with all its responses
    behind it, and a mask hides the responses from each other. Two rows, padded with 0:

        prompt 11 12 13   chosen 21 22      rejected 31 32 33
        prompt 14 15      chosen 31 32 33   rejected 41

    Every response starts from its own copy of the prompt's last token, so that each of its columns predicts
    one label; prompts end in the same column, so that one slice keeps these columns of all lines. What is in
    brackets is cut off by it:

        input_ids       11  12  13  21  13  31  32
                         0  14  15  31  32  15   0
        position_ids     0   1   2   3   2   3   4
                         0   0   1   2   3   1   0
        segment        [-1  -1]  0   0   1   1   1
                       [-2  -1]  0   0   0   1  -2
        labels                  21  22  31  32  33
                                31  32  33  41 -100

        attention_mask: the tokens (across) that each token sees
                    11 12 13 21 13 31 32          0 14 15 31 32 15  0
                11   x  .  .  .  .  .  .      0   x  .  .  .  .  .  .
                12   x  x  .  .  .  .  .     14   .  x  .  .  .  .  .
                13   x  x  x  .  .  .  .     15   .  x  x  .  .  .  .
                21   x  x  x  x  .  .  .     31   .  x  x  x  .  .  .
                13   x  x  .  .  x  .  .     32   .  x  x  x  x  .  .
                31   x  x  .  .  x  x  .     15   .  x  .  .  .  x  .
                32   x  x  .  .  x  x  x      0   x  .  .  .  .  .  x

        chosen           0   2
        rejected         1   3

    Returns `input_ids`, `position_ids` (lines, length), `attention_mask` (lines, 1, length, length) bool,
    `labels` and `segment` (lines, kept): for the columns that predict response tokens, the token (NO_LABEL:
    none) and its response's number in the line (PADDING: none); `chosen`, `rejected` (rows,): flat indices
    of each row's two sequences in (lines, responses); `num_tokens`: what the rows hold unpacked.
    """

    def __init__(self, pad_token_id: int, max_length: int | None = None):
        self.pad_token_id, self.max_length = pad_token_id, max_length

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        lines: dict[tuple, list[tuple]] = {}  # prompt: its responses
        sequences = {"chosen": [], "rejected": []}  # of each row: its prompt, and the response's number there
        for row in rows:
            prompt = tuple(row["prompt_ids"])
            responses = lines.setdefault(prompt, [])
            for side in sequences:
                response = self._cut(row[f"{side}_ids"], prompt)
                if response not in responses:
                    responses.append(response)
                sequences[side].append((prompt, responses.index(response)))

        batch = self._pack(lines)
        batch["num_tokens"] = torch.tensor(sum(unpacked_tokens(row) for row in rows))
        width = max(len(responses) for responses in lines.values())
        line_of = {prompt: line for line, prompt in enumerate(lines)}
        for side, places in sequences.items():
            batch[side] = torch.tensor([line_of[prompt] * width + number for prompt, number in places])
            if f"ref_{side}_logps" in rows[0]:
                batch[f"ref_{side}_logps"] = torch.tensor([row[f"ref_{side}_logps"] for row in rows])
        return batch

    def _cut(self, response: list[int], prompt: tuple) -> tuple:
        """The response as far as it fits behind its prompt."""
        if self.max_length is None:
            return tuple(response)
        return tuple(response[: self.max_length - len(prompt)])

    def _pack(self, lines: dict[tuple, list[tuple]]) -> dict[str, torch.Tensor]:
        longest = max(len(prompt) for prompt in lines)
        packed = [self._line(prompt, responses, longest) for prompt, responses in lines.items()]
        segment = stacked(packed, "segment", PADDING)
        return {
            "input_ids": stacked(packed, "input_ids", self.pad_token_id),
            "position_ids": stacked(packed, "position_ids", 0),
            "attention_mask": visible(segment),
            "labels": stacked(packed, "labels", NO_LABEL),
            "segment": segment[:, longest - 1 :],
        }

    def _line(self, prompt: tuple, responses: list[tuple], longest: int) -> dict[str, list[int]]:
        """One prompt, padded on the left to the length of the longest, and its responses: the columns by name."""
        *shared, last = prompt
        gap = longest - len(prompt)
        ids = [self.pad_token_id] * gap + shared
        positions = [0] * gap + list(range(len(shared)))
        segment = [PADDING] * gap + [PROMPT] * len(shared)
        labels = []  # they start with the first response's column
        for number, response in enumerate(responses):
            ids += [last, *response[:-1]]
            positions += range(len(shared), len(shared) + len(response))
            segment += [number] * len(response)
            labels += response
        return {"input_ids": ids, "position_ids": positions, "segment": segment, "labels": labels}


def unpacked_tokens(row: dict) -> int:
    """How many tokens a row's two sequences have, each with its own prompt."""
    return 2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"])


def stacked(packed: list[dict[str, list[int]]], name: str, padding: int) -> torch.Tensor:
    """One kind of columns of all lines, padded on the right: (lines, columns)."""
    return pad_sequence([torch.tensor(line[name]) for line in packed], batch_first=True, padding_value=padding)


def visible(segment: torch.Tensor) -> torch.Tensor:
    """What each column sees (lines, 1, length, length): the prompt, its own response, and nothing that follows.

    Padding sees padding: a softmax over nothing would be no number.
    """
    queries, keys = segment[:, :, None], segment[:, None, :]
    prompt = (keys == PROMPT) & (queries != PADDING)
    own = queries == keys
    return (prompt | own).tril()[:, None]


def packed_logps(model, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed log-probabilities and token counts of each packed response: two (lines * responses,)."""
    labels, segment = batch["labels"], batch["segment"]
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids")}
    inputs |= {"logits_to_keep": labels.shape[1], "use_cache": False}
    logps = token_logps(model, inputs, labels)
    by_column = logps.new_zeros(labels.shape).masked_scatter(labels != NO_LABEL, logps)  # (lines, kept)
    responses = torch.arange(int(segment.max()) + 1, device=segment.device)
    belongs = segment[:, :, None] == responses  # (lines, kept, responses)
    sums = torch.where(belongs, by_column[:, :, None], 0.0).sum(1)
    return sums.flatten(), belongs.sum(1).flatten()
