"""The README's tables are what the committed results and data say; those of a run's own files need that run."""

import re

import pytest

from cpt_utils.prompts import load_responses
from cpt_utils.runtime.files import ROOT
from cpt_utils.runtime.profiles import load_profile
from tools import last_run, method_figure, readme, rivals, standing
from tools.overview import NOTEBOOKS

PARTS = [(page, make) for page, parts in readme.PARTS.items() for make in parts]


@pytest.mark.parametrize(("page", "make"), PARTS, ids=lambda value: getattr(value, "__name__", value))
def test_pages_show_what_the_committed_files_hold(page, make):
    text = (ROOT / page).read_text("utf-8")
    assert readme.filled(text, make) == text, "make readme"


def test_every_link_of_a_page_leads_to_a_file_or_a_heading():
    for page in readme.PARTS:
        text = (ROOT / page).read_text("utf-8")
        headings = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", text, re.M)}
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
            if target != "figures/workbench.png":
                name, _, anchor = target.partition("#")
                assert (ROOT / page).parent.joinpath(name).exists() if name else anchor in headings, (page, target)


def test_the_first_screen_says_what_for_whom_and_where_to_start():
    text = (ROOT / "README.md").read_text("utf-8")
    order = ["**For whom:**", "figures/method.png", "figures/workbench.png", "## Start here", "## Run it"]
    order += ["## The notebooks", "## What came out", "## Profiles, models, hardware"]
    assert (places := [text.index(part) for part in order]) == sorted(places)
    start = text.split("## Start here")[1].split("##")[0]
    assert all(f"**{who}**" in start for who in ("try it", "teach it", "use it for your model"))
    assert sum(path.name in text for path in (ROOT / "notebooks").glob("*.ipynb")) == text.count("| [0") >= 6


def test_the_picture_of_the_method_is_the_one_that_is_drawn(tmp_path):
    import numpy as np
    from PIL import Image

    method_figure.main(tmp_path / "method.png")
    drawn, committed = (
        np.asarray(Image.open(path).convert("L"), float)
        for path in (tmp_path / "method.png", ROOT / "figures" / "method.png")
    )
    assert drawn.shape == committed.shape and np.abs(drawn - committed).mean() < 2, "python -m tools.method_figure"


def test_the_table_of_what_was_run_takes_machines_from_the_results():
    told = standing.where()
    for fact in standing.facts()["ran"]:
        assert standing.machine_of(fact) in told and str(fact["when"]).startswith("20")
    machines = standing.machines_of_notebooks()
    assert sorted(number for numbers in machines.values() for number in numbers) == sorted(NOTEBOOKS)
    assert all(f"| {machine} | {standing.facts()['committed']['system']} | notebook" in told for machine in machines)
    assert any(fact.get("file") == "seeds" for fact in standing.facts()["ran"])


def test_the_shipped_adapter_is_kept_where_a_run_has_trained_none(monkeypatch, tmp_path, capsys):
    """Notebooks that run by themselves (`--only 08`) leave a report and no adapter."""
    shipped = []
    monkeypatch.setattr(readme, "PARTS", {})
    monkeypatch.setattr(readme, "RUN", tmp_path)
    monkeypatch.setattr(readme, "ship_adapter", lambda: shipped.append(True))
    (tmp_path / "report.json").write_text("{}")
    readme.main()
    assert not shipped and "stays as it is" in capsys.readouterr().out
    (tmp_path / "adapter").mkdir()
    readme.main()
    assert shipped


def test_a_part_that_stands_twice_is_a_fault():
    text = "<!-- speed -->\n<!-- /speed -->\n"
    with pytest.raises(AssertionError, match="speed"):
        readme.filled(text + text, rivals.speed)


def test_the_sentence_about_learning_rates_follows_the_figures():
    assert rivals.other_rates({"0.0001": [0.2], "0.001": [0.1, 0.5]}).startswith("no other learning rate")
    assert "0.0001 would help it" in rivals.other_rates({"0.0001": [0.4], "0.001": [0.1, 0.5], "0.003": [0.1]})


def test_ways_of_one_seed_are_told():
    ways = {"base": {"overall": [0.9, 0.1]}, "base, best of 9": {"overall": [1.4, None]}}
    assert rivals.seeds({"how": "make it; 4 seeds; so", "methods": ways}) == "4 seeds each, best of 9 one"


def test_the_example_is_the_pair_in_the_middle_not_the_best():
    def row(prompt, rubric, overall, model="cpt"):
        return {"prompt": prompt, "rubric": rubric, "overall": overall, "model": model}

    rows = [row("best", "r", 2.0), row("middle", "s", 1.9), row("middle", "s", None), row("worst", "r", 0.1)]
    assert last_run.middle([row("worst", "r", 2.0, "base"), *rows]) == ("middle", "s")
    assert last_run.middle([*rows, row("better", "r", 1.5)]) == ("middle", "s")  # of two in the middle the lower one


def test_the_line_of_the_embedded_profile_says_what_it_holds():
    (line,) = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if line.startswith("| `embedded`")]
    profile = load_profile("embedded")
    epochs = f"{profile.epochs:g} epoch" + "s" * (profile.epochs != 1)
    told = (f"r = {profile.lora.r},", f"β = {profile.beta:g}", f"{profile.loss['sft']:g} × next-token")
    for words in (*told, f"first {profile.max_length} tokens", epochs, f"{len(load_responses(False))} recorded"):
        assert words in line


def test_what_came_out_shows_scores_and_the_papers_and_folds_up_the_rest():
    text = (ROOT / "README.md").read_text("utf-8").split("## What came out")[1].split("\n## ")[0]
    seen, *folds = text.split("<details>")
    assert len(folds) == 2 and all(fold.count("</details>") == 1 for fold in folds)
    assert "<!-- results -->" in seen and "<!-- paper -->" in seen and "<!-- in_short -->" in seen
    assert seen.count("](figures/") == 1 and "figures/08_methods.png" in folds[0]
    for fold, heading in zip(folds, ("Other ways to the same end", "What the paper does not show"), strict=True):
        summary, body = fold.removeprefix("<summary>").split("</summary>")
        assert summary.startswith(f"{heading}: ") and "\n" not in summary and f"### {heading}\n" in body
        assert not fold.split("</details>")[1].replace("<!-- carries_line -->", "").strip(), "nothing between the folds"


def test_what_made_the_difference_is_told_by_the_figures(monkeypatch):
    ways = {rivals.SHUFFLED: (1.0, 0.2), rivals.MIRRORED: (1.1, 0.7), rivals.FULL: (1.5, 0.9)}
    methods = {name: {"overall": [a], "spearman_rho": [b], "rows": [96]} for name, (a, b) in ways.items()}
    monkeypatch.setattr(rivals, "result", lambda name: {"methods": methods})
    told = rivals.difference()
    assert "On the same 96 rows this alone brings ρ from 0.20 to 0.70" in told and "from 1.00 to 1.10" in told
    assert "*overall* to 1.50 and ρ to 0.90" in told
    short = rivals.in_short()
    assert "most of the difference in ρ (0.20 to 0.70 on the same rows, 0.90 with the full recipe)" in short
    assert "less than half of it in *overall* (1.00 to 1.10, and 1.50)" in short
