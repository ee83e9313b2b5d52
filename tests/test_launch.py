"""`trl dpo` and `accelerate launch` take the written files as they are, on one and on two CPU processes."""

import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from cpt_utils.blocks import training_order
from cpt_utils.export import write_launch
from cpt_utils.models.conversation import fit_rows
from cpt_utils.runtime.profiles import load_profile


@pytest.fixture
def rows(begun_rows):
    return begun_rows


@pytest.fixture
def profile(tiny_model, tokenizer, tmp_path):
    for thing in (tiny_model, tokenizer):
        thing.save_pretrained(tmp_path / "student")
    return load_profile("t4").replace(
        student=str(tmp_path / "student"),
        four_bit=False,
        optimizer="adamw_torch",
        seed=3,
        max_steps=3,
        learning_rate=1e-2,
        gradient_checkpointing=False,
        loss={"sigmoid": 1.0, "sft": 1.0},
        max_length=512,
    )


ON_A_PROCESSOR = ["--use_cpu", "true", "--bf16", "false", "--save_strategy", "steps", "--save_steps", "3"]


def run(command, folder):
    """Run the command that users are shown, on the CPU; returns the losses it logged."""
    words = shlex.split(command)
    if words[0] == "accelerate":
        words = [
            "accelerate.commands.launch",
            "--cpu",
            "--num_machines",
            "1",
            "--mixed_precision",
            "no",
            "--dynamo_backend",
            "no",
            *words[2:],
        ]
    else:
        words = ["trl.scripts.dpo", *words[2:]]
    done = subprocess.run(
        [sys.executable, "-m", *words, *ON_A_PROCESSOR],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=400,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return logged(folder)


def logged(folder):
    """The losses of three steps."""
    state = json.loads((folder / "trained" / "checkpoint-3" / "trainer_state.json").read_text())
    return [entry["loss"] for entry in state["log_history"] if "loss" in entry]


def test_two_processes_compute_the_losses_of_one(profile, rows, tokenizer, tmp_path):
    rows = fit_rows(tokenizer, rows[:12])
    commands = {n: write_launch(profile, rows, tmp_path / str(n), processes=n) for n in (1, 2)}
    assert commands[1] == "trl dpo --config dpo.yaml"
    assert commands[2].startswith("accelerate launch --num_processes 2 -m trl.scripts.dpo")
    one, two = (run(commands[n], tmp_path / str(n)) for n in (1, 2))
    assert len(one) == 3 and one == pytest.approx(two, rel=2e-3)
    assert one[-1] < one[0]
    saved = tmp_path / "2" / "trained"
    assert (saved / "adapter_model.safetensors").exists()


def test_pairs_stay_together_in_every_epoch_and_rows_are_all_there(rows):
    ordered = [rows[i] for i in training_order(len(rows), 2, epochs=3, seed=5)]
    assert len(ordered) == 3 * len(rows)
    for first, second in zip(ordered[0::2], ordered[1::2]):
        assert first["pair_id"] == second["pair_id"] and first["chosen"] == second["rejected"]
    epochs = [[r["pair_id"] for r in ordered[i * len(rows) : (i + 1) * len(rows) : 2]] for i in range(3)]
    assert all(sorted(e) == sorted(epochs[0]) for e in epochs) and epochs[0] != epochs[1]
    half = [rows[i] for i in training_order(len(rows), 2, epochs=1.5, seed=5)]
    assert half == ordered[: 3 * len(rows) // 2]


def test_shares_that_would_tear_pairs_are_refused(profile, rows, tmp_path):
    with pytest.raises(ValueError, match="4 rows a step cannot be shared by 3 processes"):
        write_launch(profile, rows, tmp_path, processes=3)


def test_the_paper_profile_is_the_release_train_py(rows, tmp_path, monkeypatch):
    import yaml

    from cpt_utils import export

    monkeypatch.setattr(export, "weights_of", lambda profile: Path("x"))
    write_launch(load_profile("paper").replace(seed=42), rows, tmp_path, processes=1)
    config = yaml.safe_load((tmp_path / "dpo.yaml").read_text())
    wanted = {
        "lora_r": 16,
        "lora_alpha": 16,
        "lora_dropout": 0.0,
        "load_in_4bit": True,
        "beta": 0.1,
        "loss_type": ["sigmoid"],
        "max_length": 2048,
        "learning_rate": 5e-5,
        "lr_scheduler_type": "linear",
        "warmup_steps": 0.1,
        "optim": "adamw_8bit",
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 4,
        "num_train_epochs": 1,
        "seed": 42,
        "gradient_checkpointing": True,
        "lora_target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    }
    assert {name: config[name] for name in wanted} == wanted


@pytest.mark.parametrize("number, mixed", [("bfloat16", "bf16"), ("float16", "fp16")])
def test_a_model_that_no_gpu_holds_is_split_as_accelerate_reads_it(rows, tmp_path, monkeypatch, number, mixed):
    """accelerate's own parser takes the file, and its own plugin what the launcher hands on from it."""
    import yaml
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    from cpt_utils import export

    monkeypatch.setattr(export.machine, "number_type", lambda: number)
    nemo = load_profile("paper").replace(seed=1, student="mistral-nemo-12b", four_bit=False)
    command = shlex.split(write_launch(nemo, rows, tmp_path, processes=4, sharded=True))
    assert command[:4] == ["accelerate", "launch", "--config_file", "fsdp.yaml"]
    config = load_config_from_file(str(tmp_path / "fsdp.yaml"))
    assert (config.distributed_type, config.num_processes) == (DistributedType.FSDP, 4)
    assert config.mixed_precision == mixed and config.fsdp_config["fsdp_version"] == 2
    training = yaml.safe_load((tmp_path / "dpo.yaml").read_text())
    assert training["model_name_or_path"] == "mistralai/Mistral-Nemo-Instruct-2407" and not training["load_in_4bit"]
    assert training["optim"] == "adamw_torch" and training["gradient_accumulation_steps"] == 1
    assert not (training["gradient_checkpointing"] and config.fsdp_config["fsdp_activation_checkpointing"])

    monkeypatch.chdir(tmp_path)
    for name, value in launched_with(command).items():
        monkeypatch.setenv(name, value)
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True
    assert type(plugin.cpu_offload).__name__ == "OffloadPolicy"  # not the one that offloads
    assert "FULL" in str(plugin.state_dict_type) and "transformer_auto_wrap" in str(plugin.auto_wrap_policy)


def launched_with(command: list[str]) -> dict[str, str]:
    """What `accelerate launch` hands on to each process, in the folder of its file."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    told, *_ = _validate_launch_command(launch_command_parser().parse_args(command[2:]))
    assert told.use_fsdp and told.training_script == "trl.scripts.dpo"
    return dict(prepare_multi_gpu_env(told))


AS_ON_GPUS = """
import gc, runpy, sys

from accelerate import state
from accelerate.utils import DistributedType
from torch.distributed.fsdp import FSDPModule

start = state.PartialState.__init__

def as_on_gpus(self, *args, **kwargs):
    start(self, *args, **kwargs)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU

state.PartialState.__init__ = as_on_gpus
sys.argv[0] = "dpo"
runpy.run_module("trl.scripts.dpo", run_name="__main__")
print("split modules:", sum(isinstance(thing, FSDPModule) for thing in gc.get_objects()))
"""


@pytest.mark.slow
def test_split_weights_give_the_losses_of_one_process(profile, rows, tokenizer, tmp_path, monkeypatch):
    """FSDP 2 as the files ask for it, over two processors, which accelerate has to take for GPUs; in float32."""
    rows = fit_rows(tokenizer, rows[:12])
    whole = run(write_launch(profile, rows, tmp_path / "1"), tmp_path / "1")
    folder = tmp_path / "2"
    command = shlex.split(write_launch(profile, rows, folder, processes=2, sharded=True))
    monkeypatch.chdir(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = os.environ | launched_with(command) | {"ACCELERATE_MIXED_PRECISION": "no", "ACCELERATE_USE_CPU": "true"}
    shared |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    asked = [*command[command.index("--config") :], *ON_A_PROCESSOR]
    logs = [open(folder / f"{rank}.log", "w+") for rank in "01"]  # a pipe that nobody reads would stop its process
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", AS_ON_GPUS, *asked],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank, log in enumerate(logs)
    ]
    for process, log in zip(processes, logs):
        code = process.wait(600)
        log.seek(0)
        said = log.read()
        assert code == 0, said[-3000:]
        blocks = 2  # of the tiny model, and the model around them
        assert int(said.split("split modules:")[1].split()[0]) >= blocks + 1
    assert logged(folder) == pytest.approx(whole, rel=2e-3) and whole[-1] < whole[0]
    one, two = (load_file(place / "trained" / "adapter_model.safetensors") for place in (tmp_path / "1", folder))
    assert {name: weight.shape for name, weight in one.items()} == {name: weight.shape for name, weight in two.items()}
    assert all(weight.isfinite().all() and weight.any() for weight in two.values()), "each B has left zero"


SPLIT_STEP = """
import bitsandbytes, torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
weight = torch.nn.Parameter(distribute_tensor(torch.ones(256, 64), init_device_mesh("cpu", (1,)), [Shard(0)]))
optimizer = bitsandbytes.optim.AdamW8bit([weight])
weight.sum().backward()
optimizer.step()
"""


def test_8_bit_adam_takes_no_split_weights():
    """Once it does, write_launch can leave the profile's optimizer as it is (bitsandbytes' issues 89 and 1633)."""
    pytest.importorskip("bitsandbytes")
    done = subprocess.run([sys.executable, "-c", SPLIT_STEP], capture_output=True, text=True, timeout=400)
    assert done.returncode and "mixed torch.Tensor and DTensor" in done.stderr, done.stderr[-500:]


@pytest.mark.parametrize("changes, processes", [({"four_bit": True}, 4), ({"four_bit": False}, 1)])
def test_what_cannot_be_split_is_told_before_anything_is_written(rows, tmp_path, changes, processes):
    with pytest.raises(ValueError, match="split over 2 or more processes, and in 16 bits"):
        write_launch(load_profile("t4").replace(**changes), rows, tmp_path, processes, sharded=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number, half", [("bfloat16", "bfloat16"), ("float32", "bfloat16"), ("float16", "float16")])
def test_the_number_types_are_those_that_the_gpu_multiplies(rows, tmp_path, monkeypatch, number, half):
    """A T4 gets float16. TRL hands the dtype on to bitsandbytes, which knows no "auto"."""
    import yaml

    from cpt_utils import export

    monkeypatch.setattr(export, "weights_of", lambda profile: Path("x"))
    monkeypatch.setattr(export.machine, "number_type", lambda: number)
    for four_bit, dtype in ((True, half), (False, "auto")):
        write_launch(load_profile("t4").replace(seed=1, four_bit=four_bit), rows, tmp_path)
        config = yaml.safe_load((tmp_path / "dpo.yaml").read_text())
        assert config["dtype"] == dtype
        assert {name: config[name] for name in ("bf16", "fp16")} == {
            "bf16": half == "bfloat16",
            "fp16": half == "float16",
        }
