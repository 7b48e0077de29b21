"""Files of other programs that hold shell commands: images' recipes, tables of cron, packages.

Each reader returns None where it does not understand a file.
"""

import json
import re

from firewall.commands.wrappers.inner import Inner, Run, Shell

_JOINED = re.compile(r"\\[ \t]*\n(?:[ \t]*#[^\n]*\n)*")
_DIRECTIVE = re.compile(r"(?im)^#\s*(?:escape\s*=|syntax\s*=(?!\s*docker/dockerfile))|^\s*SHELL\s")
_HEREDOC = re.compile(r"<<-?(['\"]?)(\w+)\1")
_STEP = re.compile(
    r"(?i)\s*(?:ONBUILD\s+)?(?:RUN|CMD|ENTRYPOINT|HEALTHCHECK\s.*?CMD)\s+"
    r"(?:--[a-z]+=\S+\s+)*(.*)",
    re.DOTALL,
)
_JOB = re.compile(r"\s*(?:@\w+|(?:[-\d*/,A-Za-z]+\s+){4}[-\d*/,A-Za-z]+)\s+(\S.*)")
_SETTING = re.compile(r"\s*[A-Za-z_]\w*\s*=")


def dockerfile(text: str) -> list[Inner] | None:
    """What building an image runs, and then the image (docs.docker.com/reference/dockerfile)."""
    if _DIRECTIVE.search(text):
        return None
    found: list[Inner] = []
    lines = _JOINED.sub(" ", text).split("\n")
    while lines:
        step = _STEP.match(lines.pop(0))
        if not step:
            continue
        command = step[1]
        ends = [each[2] for each in _HEREDOC.finditer(command)]
        while ends and lines:
            line = lines.pop(0)
            command += f"\n{line}"
            ends = ends[1:] if line.strip() == ends[0] else ends
        found.append(_step(command))
    return found


def _step(command: str) -> Inner:
    if alone := re.fullmatch(rf"{_HEREDOC.pattern}\s*\n(.*\n)?\2", command.strip(), re.DOTALL):
        return Shell(alone[3] or "", "RUN", elsewhere=True)
    try:
        words = json.loads(command)
        return Run([str(word) for word in words], "RUN", elsewhere=True)
    except (ValueError, TypeError):
        return Shell(command, "RUN", elsewhere=True)


def crontab(text: str) -> list[Inner] | None:
    """Commands behind five fields or a name of a time; `%` ends them (crontab(5))."""
    found: list[Inner] = []
    for line in text.split("\n"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if job := _JOB.match(line):
            found.append(Shell(re.split(r"(?<!\\)%", job[1])[0], "cron"))
        elif not _SETTING.match(line):
            return None
    return found


def package(text: str) -> list[Inner] | None:
    """package.json: any of its scripts (npm's documentation, "scripts")."""
    try:
        scripts = json.loads(text).get("scripts", {})
        return [Shell(str(script), "npm run") for script in scripts.values()]
    except (ValueError, AttributeError):
        return None


_PLAIN_CMAKE = frozenset({
    "cmake_minimum_required", "project", "set", "option", "message", "enable_testing", "if", "else",
    "elseif", "endif", "add_executable", "add_library", "add_compile_definitions", "target_sources",
    "include_directories", "target_include_directories", "target_compile_definitions",
    "target_compile_features", "target_compile_options", "target_link_libraries",
})  # fmt: skip
_CMAKE_RUNS = re.compile(
    r"(?i)COMPILER|LAUNCHER|PROGRAM|LINKER|TOOLCHAIN|_AR\b|RULE|MODULE|COMMAND|INCLUDE\w*_FILE|"
    r"plugin|specs|wrapper|-B|\$ENV|\[=*\["
)


def cmakelists(text: str) -> list[Inner] | None:
    """A CMakeLists.txt that only compiles runs nothing (cmake-commands(7)); None for others."""
    text = re.sub(r"(?m)#.*$", "", text)
    commands = {name.lower() for name in re.findall(r"(\w+)\s*\(", text)}
    return [] if "project" in commands <= _PLAIN_CMAKE and not _CMAKE_RUNS.search(text) else None
