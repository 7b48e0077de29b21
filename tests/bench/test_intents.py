"""The bench counts what is found, what is missed and what is wrong."""

import json
from pathlib import Path

from tests.bench.intents import false_positives, recall


def write(folder: Path, name: str, *rows: dict[str, object]) -> None:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_rates(tmp_path: Path) -> None:
    write(
        tmp_path,
        "ssh_spellings",
        {"category": "remote_forward", "command": "ssh -R 1:a:2 h"},
        {"category": "remote_forward", "command": "ssh h"},
        {"category": "benign_no_forward", "command": "ssh h ls -R"},
    )
    write(tmp_path, "mining_commands", {"command": "xmrig"}, {"command": "ls"})
    write(
        tmp_path,
        "benign_commands",
        {"command": "ls"},
        {"command": "ssh -D 1 h"},
        {"command": "ngrok http 80", "dual_use": ["tunnel"]},
    )
    rates = {what: result for what, _, result in recall(tmp_path)}
    assert rates["recall: ssh.forward-remote"] == "50.0%"
    assert rates["recall: ssh look-alikes: silent"] == "100.0%"
    assert rates["recall: mining"] == "50.0%"
    assert [row[1:] for row in false_positives(tmp_path)] == [("2", "500.00"), ("1", "1000.00")]
