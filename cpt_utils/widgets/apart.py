"""What is one person's own, apart from a folder that a room shares."""

from pathlib import Path

from cpt_utils.runtime import files, places, profiles


def own_folder(folder: Path) -> Path:
    """Where a studio of this folder keeps its drafts, and the state to compare with.

    A folder among one's own runs is one's own. Any other may be a room's: for each there is one in the run's folder.
    """
    runs = places.named_folder("CPT_RUNS", "runs")
    shared = Path(folder).resolve()
    if shared.is_relative_to(runs.resolve()):
        return folder
    return runs / profiles.load_profile("auto").name / f"studio-{files.json_hash(str(shared), 8, ascii=True)}"
