"""Sessions on Colab and Kaggle, and notebooks opened alone: what their first cell needs."""

import os
import sys
from pathlib import Path

from cpt_utils.runtime import machine, packages
from cpt_utils.runtime.errors import SetupError

DRIVE = Path("/content/drive")
NAMED: dict[str, tuple] = {}  # the address and branch that this kernel's first setup cell named


def here() -> bool:
    """Whether this is a Colab kernel."""
    return "google.colab" in sys.modules


def hosted() -> bool:
    """Whether this is a session on a machine lent for the purpose, where packages may be installed unasked."""
    return here() or "KAGGLE_KERNEL_RUN_TYPE" in os.environ


def prepare(address: str, branch: str = "main", drive: bool = False) -> None:
    """Make this session ready for the series: the setup cell's first call, before anything heavy is imported.

    On Colab and Kaggle what the image lacks is installed; elsewhere what is absent is named. `drive` keeps
    results on Google Drive (Colab only). Raises a SetupError that says what to do.
    """
    if hosted():
        if NAMED.setdefault("series", (address, branch)) != (address, branch):
            raise SetupError(
                f"This session has loaded {' at '.join(NAMED['series'])}: restart it (on Colab: Runtime > "
                "Restart session) and run this cell again for the other."
            )
        packages.install(gpu=machine.cuda_works())
    else:
        packages.require_packages()
    keep_results(drive)


def keep_results(on_drive: bool) -> None:
    """Let runs/ be a folder on Google Drive, mounted only if asked: CPT_RUNS names it to everything that runs."""
    folder = DRIVE / "MyDrive" / "cpt-runs"
    if not on_drive:
        if os.environ.get("CPT_RUNS") == str(folder):  # switched off again
            del os.environ["CPT_RUNS"]
        return
    if not here():
        print("note: DRIVE needs Colab; results stay in runs/ here")
        return
    if not folder.parent.is_dir():
        from google.colab import drive

        try:
            drive.mount(str(DRIVE))
        except Exception as problem:  # a refusal comes as one of many types
            raise SetupError(f"Drive was not mounted ({problem}): allow it when asked, or set DRIVE = False.") from None
    os.environ["CPT_RUNS"] = str(folder)
    print("results go to the folder cpt-runs on your Drive")
