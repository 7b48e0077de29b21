"""Package managers, through their options."""

import shlex

import pytest

from firewall.commands.intents import facts_of


def told(line: str) -> list[str]:
    """Intents as "name target detail"."""
    found = facts_of(shlex.split(line)).intents
    return [f"{each.name} {each.target} {each.detail}".strip() for each in found]


CASES = {
    "apt -o a=b install x": ["package.install x"],
    "conda install -n env x": ["package.install x"],
    "npm --prefix d install x": ["package.install x"],
    "yarn": ["package.install"],
    "yarn --version": [],
    "yarn npm publish": ["package.publish"],
    "pip3.12 install -r r.txt": ["package.install r.txt"],
    "pip install -e . -i https://i.test": ["package.install ."],
    "npx -p x y": ["package.install x"],
    "npx x install y": ["package.install x"],
    "cpanm A B": ["package.install A", "package.install B"],
    "uv run --with x y": ["package.install x"],
    "uv run y --with-x": [],
    "pacman -Syu x": ["package.install x"],
    "pacman -Ss x": [],
    "pacman -Qi x": [],
    "dpkg -i x.deb": ["package.install x.deb"],
    "dpkg -l": [],
    "rpm -Uvh x.rpm": ["package.install x.rpm"],
    "rpm -qi x": [],
    "nix-env -iA n.x": ["package.install n.x"],
    "skopeo copy docker://a/b docker://h/b": ["package.publish docker://h/b docker://a/b"],
    "skopeo copy docker://a/b dir:x": ["package.install docker://a/b"],
    "mvn -q clean deploy": ["package.publish"],
    "mvn test": [],
    "docker --context c push h/x": ["package.publish h/x"],
}


@pytest.mark.parametrize("line", CASES)
def test_intents(line: str) -> None:
    assert told(line) == CASES[line]


def test_lists_and_files_of_packages_are_read() -> None:
    assert facts_of(["pip", "install", "-r", "r.txt"]).reads == ("r.txt",)
    assert facts_of(["dpkg", "-i", "x.deb"]).reads == ("x.deb",)
