"""Options that have a program load code or settings of which their value only tells the place."""

import re
from collections.abc import Iterator
from itertools import pairwise

from firewall.commands.wrappers.inner import Hidden, Words

_TABLE = r"""
gcc g++ cc c++ clang clang++ gfortran: -fplugin=|-fpass-plugin=|-load|--?specs=|-B|-fuse-ld=\S*/
ld ar nm ranlib gold ld.gold ld.lld lld: -?-plugin\b
tshark wireshark: (-X)?lua_script:
nmap: --script[= ]\S*(/|\.nse)
ncat: --lua-exec
ssh-keygen: -D
ssh-add: -[se]
gawk awk: @load|-l|--load
dnf yum microdnf: --setopt=pluginpath
apt apt-get aptitude: -c|--config-file
rustc cargo: (-C)?linker=
mvn mvnd: -Dexec\.executable=
psql: (-o|--output=)?\|
emacsclient: --eval|-[a-z]*e(?= |\Z)
gradle gradlew: -I|--init-script
aws: --parameters \S*\bcommands?\b
consul-template: -template[= ][^:]*:[^:]*:.
gs: \S*%pipe%
"""
"""Programs, and what a word, and the one behind it, begin with that have them load something."""

LOADS = {
    program: re.compile(pattern.strip())
    for programs, _, pattern in (line.partition(": ") for line in _TABLE.split("\n")[1:-1])
    for program in programs.split()
}


def loads(name: str, words: Words) -> Iterator[Hidden]:
    pattern, pairs = LOADS.get(name), pairwise((*words[1:], None))
    if pattern and any(pattern.match(f"{word} {after or ''}".strip()) for word, after in pairs):
        yield Hidden(f"code or settings that {name} loads")
