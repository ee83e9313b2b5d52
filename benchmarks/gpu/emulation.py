"""unsloth without a GPU: its own kernels in Triton's interpreter, with stand-ins for what it asks of CUDA.

`UNSLOTH_ALLOW_CPU=1` lets it be imported, and would keep it from replacing trl's trainers, so the variable goes away
again before that is asked for. Slow (a kernel's rows are computed one by one in Python), so rows and model are tiny,
and max_length is below 512, from where on unsloth offloads activations to pinned memory. What it showed of unsloth
2026.10.7 on the pins, and what follows for the series:

- `trl.DPOTrainer` is a class of two layers, written at import. The lower one is TRL's source but for two branches that
  are cut out: `peft_config` is ignored, and the adapters of 4-bit models stay float32. So the adapter is there before
  the trainer is (adapters.prepare_for_lora), and TRL, which sees an adapter, keeps a frozen copy of it as reference.
  The loss, the log and the sampler are TRL's: our PairedDPOTrainer stands on top of both layers, as long as unsloth is
  imported before trl (packages.load_unsloth).
- `trl.DPOConfig` has other defaults: rate 5e-5, batch 4 in 2 parts, adamw_8bit, weight decay 0.001, seed 3407, warm-up
  0.1, evaluation in half precision. training.dpo_settings names what matters. `train_sampling_strategy` is "random" as
  in transformers, and our "sequential" stays.
- The trainer sets `bf16` or `fp16` where neither is asked for, and refuses one that is not the weights'
  (loading.load_student asks for the machine's), and it turns the tokenizer's padding to the right
  (conversation.answered asks for the left).
- The collator is TRL's, which then pads keys of images, too.
- `FastLanguageModel.from_pretrained` puts unsloth's forward into transformers' classes: from then on a model that
  transformers loaded, before or after, raises an AttributeError. So all models of a session come through unsloth
  (loading.load_student).
"""

import importlib
import json
import os
import sys
import types
from pathlib import Path

ALLOWED = "UNSLOTH_ALLOW_CPU"


def load_unsloth(made: Path) -> None:
    """Import unsloth as on a GPU, with the trainers that it makes in the folder `made`."""
    os.environ |= {
        ALLOWED: "1",
        "TRITON_INTERPRET": "1",  # read when triton is imported
        "UNSLOTH_COMPILE_DISABLE": "1",
        "UNSLOTH_COMPILE_LOCATION": str(made),
        "UNSLOTH_DISABLE_STATISTICS": "1",
        "CPT_DEVICE": "cpu",
        "CPT_PRECISION": "float32",
        "CPT_FAST_PATHS": "off",  # those of a processor, which a GPU does not take
    }
    unsloth = importlib.import_module("unsloth")
    del os.environ[ALLOWED]
    importlib.import_module("unsloth.models.rl").PatchFastRL(FastLanguageModel=unsloth.FastLanguageModel)
    importlib.import_module("unsloth.trainer")._patch_trl_trainer()
    importlib.import_module("unsloth.models.llama").DEVICE_COUNT = 1
    stand_in_for_cuda()


def stand_in_for_cuda() -> None:
    """For the rest of the process: a T4 by name, whose tensors lie in the processor's memory."""
    import torch
    from torch.overrides import TorchFunctionMode

    def place(device):
        named = isinstance(device, (str, torch.device)) and str(device).startswith("cuda")
        return "cpu" if named or type(device) is int else device

    class OnTheProcessor(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            kwargs = kwargs or {}
            if function is torch.device:  # a number is a GPU's
                return function("cuda", *args) if type(args[0]) is int else function(*args, **kwargs)
            if "device" in kwargs:
                kwargs = kwargs | {"device": place(kwargs["device"])}
            return function(*(place(one) if isinstance(one, torch.device) else one for one in args), **kwargs)

    t4 = types.SimpleNamespace(name="stand-in", total_memory=2**34, major=7, minor=5, multi_processor_count=40)
    torch.cuda.get_device_properties = lambda *device: t4
    torch.cuda.current_device = lambda: 0
    torch.cuda.mem_get_info = lambda *device: (t4.total_memory, t4.total_memory)
    torch.cuda.get_device_capability = lambda *device: (t4.major, t4.minor)
    torch.cuda.current_stream = lambda *device: types.SimpleNamespace(cuda_stream=0)
    OnTheProcessor().__enter__()


def main() -> None:
    """The steps of notebooks 04 and 05, three of training; what came out as a line of JSON.

    Arguments: a folder with `student` and `rows.json`, and changes to the profile t4 as JSON.
    """
    folder, changes = Path(sys.argv[1]), json.loads(sys.argv[2])
    load_unsloth(folder / "made")

    from cpt_utils import runtime
    from cpt_utils.runtime import machine

    machine.engine = runtime.engine = lambda profile: profile.engine
    profile = runtime.start("t4", student=str(folder / "student"), **changes)

    import torch

    from benchmarks.gpu import trials
    from cpt_utils import checkpoints, training
    from cpt_utils.models.adapters import save_adapter, with_adapter
    from cpt_utils.models.conversation import ChatModel, chat
    from cpt_utils.models.loading import load_chat_model
    from cpt_utils.models.logps import response_logps

    rows = json.loads((folder / "rows.json").read_text("utf-8"))
    asked = [rows[0]["prompt"], rows[0]["prompt"] + rows[0]["chosen"] + rows[1]["prompt"][1:]]  # of two lengths
    base = load_chat_model(profile)  # as notebook 06 does, before there is a student
    first = response_logps(base, rows)
    trainer = trials.build(profile, rows, folder / "trained", rows[:2])
    train_set, collator, adapters = trainer.train_dataset, trainer.data_collator, list(trainer.model.peft_config)
    gradient = training.dpo_gradient(trainer, rows[:2]).norm().item()
    training_told = checkpoints.train(trainer)
    measured = trainer.evaluate()
    trainer.model.eval()
    here = chat(ChatModel(trainer.model, trainer.processing_class, "here"), asked, max_new_tokens=4, temperature=0)
    save_adapter(trainer.model, folder / "adapter", "x/y")
    again = load_chat_model(profile, folder / "adapter")
    beside = load_chat_model(profile)  # the adapter beside the weights, as in 4 bits
    beside.model = with_adapter(beside.model, folder / "adapter", profile).eval()
    with torch.no_grad():
        ids = torch.tensor([train_set[0]["prompt_ids"]])
        logits = [model(input_ids=ids).logits for model in (trainer.model, again.model)]
        with trainer.model.disable_adapter():
            untrained = trainer.model(input_ids=ids).logits
    found = {
        "classes": [kind.__name__ for kind in type(trainer).__mro__],
        "collator": type(collator).__name__,
        "settings": [trainer.args.train_sampling_strategy, trainer.args.bf16, trainer.args.fp16],
        "adapters": adapters,
        "base": [first.tolist(), response_logps(base, rows).tolist()],
        "reference": [train_set[f"ref_{side}_logps"][:] for side in ("chosen", "rejected")],
        "gradient": gradient,
        "steps": training_told["steps"],
        "losses": trials.losses(trainer),
        "both_directions": measured["eval_rewards/both_directions"],
        "files": sorted(path.name for path in (folder / "adapter").iterdir()),
        "here": here,
        "effect": (logits[0] - untrained).abs().max().item(),
        "rounded": (logits[0] - logits[1]).abs().max().item(),
        "again": [chat(tuned, asked, max_new_tokens=4, temperature=0) for tuned in (again, beside)],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
