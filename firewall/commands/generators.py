"""Programs whose output is made to be evaluated by a shell: their own code, whatever the text."""

import re

from firewall.commands.bash.scope import Scope
from firewall.commands.bash.syntax import HereDocument, Simple, Substitution, Text, Word

_COMMANDS = re.compile(
    r"ssh-agent(?: -s)?|dircolors(?: -b)?|lesspipe(?:\.sh)?|"
    r"(?:conda|mamba|micromamba) shell[. ](?:hook|bash hook|posix hook|hook -s (?:bash|posix))|"
    r"(?:pyenv|rbenv|nodenv|goenv|jenv|plenv|phpenv) init(?: -| - bash| --path)?|"
    r"pyenv virtualenv-init -|(?:direnv hook|starship init|zoxide init|mise activate) bash|"
    r"fnm env(?: --use-on-cd)?|brew shellenv|opam (?:config )?env|minikube docker-env|"
    r"docker-machine env [\w-]+|fzf --bash|"
    r"(?:kubectl|helm|gh|kind|minikube|docker|poetry|flux|argocd|k3d|istioctl|oc|eksctl|pip|ng|npm)"
    r" completion(?: -s| --shell| script| --)?(?: bash)?"
)
"""By their manuals, what is to be put into eval or source."""


def prints_own_code(word: Word, scope: Scope) -> bool:
    """Whether a word is what one of these programs prints, not a function or file of its name."""
    match word.pieces:
        case (Substitution(script, "$()" | "<()"),) if len(script.commands) == 1:
            command = script.commands[0]
        case _:
            return False
    if (
        not isinstance(command, Simple)
        or command.assignments
        or not all(map(_is_plain, command.words))
    ):
        return False
    if any(isinstance(each, HereDocument) or each.descriptor != "2" for each in command.redirects):
        return False
    words = [
        piece.text for word in command.words for piece in word.pieces if isinstance(piece, Text)
    ]
    name = words[0].rpartition("/")[2]
    return bool(_COMMANDS.fullmatch(" ".join([name, *words[1:]]))) and not _is_changed(name, scope)


def _is_changed(name: str, scope: Scope) -> bool:
    """Whether the text put something in the program's place, or code into its environment."""
    placed = name in scope.functions or name in scope.aliases or name in scope.copies
    code = any(re.search(r"[$`;&|]", value) for value in scope.variables.values())
    return placed or code or "PATH" in scope.variables or bool(scope.written(name))


def _is_plain(word: Word) -> bool:
    return len(word.pieces) == 1 and isinstance(word.pieces[0], Text)
