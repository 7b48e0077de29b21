"""The dashboard asks only for metrics that the firewall exports, in expressions that are PromQL."""

import json
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.deploy.test_prometheus import SCRAPED, asked, exported

BOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "deploy" / "grafana" / "firewall.json").read_text()
)
TARGETS = [(panel["title"], each) for panel in BOARD["panels"] for each in panel["targets"]]
EXPRESSIONS = [each["expr"] for _, each in TARGETS] + [
    each["expr"] for each in BOARD["annotations"]["list"]
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_is_exported_with_its_labels(expression: str) -> None:
    known = exported()
    wanted = asked(expression)
    assert wanted
    for name, labels in wanted:
        assert labels - SCRAPED <= known[name]


@pytest.mark.parametrize(("title", "target"), TARGETS)
def test_a_legend_names_labels_that_there_are(title: str, target: dict[str, Any]) -> None:
    known = exported()
    labels = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    for name, _ in asked(target["expr"]):
        assert labels - SCRAPED <= known[name], title


def test_gpu_use_and_blocked_attempts_are_on_one_time_line() -> None:
    first = BOARD["panels"][0]
    names = {name for each in first["targets"] for name, _ in asked(each["expr"])}
    assert names == {"DCGM_FI_DEV_GPU_UTIL", "firewall_verdicts_total"}
    (note,) = BOARD["annotations"]["list"]
    assert asked(note["expr"])[0][0] == "firewall_verdicts_total"


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for one, other in combinations([panel["gridPos"] for panel in BOARD["panels"]], 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_reads_every_expression(tmp_path: Path) -> None:
    filled = [
        each.replace("$__rate_interval", "1m").replace("$instance", ".*") for each in EXPRESSIONS
    ]
    rules = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(filled)]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", str(path)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_firewall_can_be_chosen_whether_it_reads_gpus_or_not() -> None:
    (instance,) = (each for each in BOARD["templating"]["list"] if each["name"] == "instance")
    assert instance["query"] == 'label_values({__name__=~"firewall_.*"}, instance)'
