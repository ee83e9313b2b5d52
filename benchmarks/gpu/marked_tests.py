"""Stage B: the tests marked `gpu`, each file in a process of its own; a rehearsal runs them on the processor."""

import sys
import time
import xml.etree.ElementTree as ElementTree

from benchmarks.gpu import processes
from benchmarks.gpu.stage import Stage
from cpt_utils.runtime.files import ROOT


def run(stage: Stage) -> None:
    files = [
        path for path in sorted((ROOT / "tests").glob("test_*.py")) if "pytest.mark.gpu" in path.read_text("utf-8")
    ]
    for path in files:
        stage.keep(**{path.stem: test(stage, path)})
    told = [stage.found[path.stem] for path in files]
    stage.keep(passed=sum(each.get("passed", 0) for each in told))
    if bad := [name for each in told for name in each["bad"]]:
        raise AssertionError(", ".join(bad))


def test(stage: Stage, path) -> dict:
    """Numbers of passed and skipped tests, and the names of those that failed."""
    report = stage.folder / f"{path.stem}.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", str(path), f"--junitxml={report}"]
    started = time.time()
    code = processes.run_command(
        command, report.with_suffix(".log"), stage.left(), processes.environment(stage.dry, stage.folder)
    )
    seconds = {"seconds": time.time() - started}
    if not report.exists() or code not in (0, 1):
        said = "the limit" if code is None else processes.last_line(report.with_suffix(".log"))
        return seconds | {"bad": [f"{path.stem} stopped: {said}"]}
    cases = ElementTree.parse(report).getroot().findall(".//testcase")
    bad = [case.get("name") for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = {
        case.get("name"): case.find("skipped").get("message") for case in cases if case.find("skipped") is not None
    }
    return seconds | {"passed": len(cases) - len(bad) - len(skipped), "bad": bad, "skipped": skipped}
