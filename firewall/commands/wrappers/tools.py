"""Containers, package runners and developers' tools that start another program."""

from firewall.commands.wrappers.wrapper import Wrapper
from firewall.commands.wrappers.wrapper import wrapper as _w

_PASS = _w()
_LOOSE = _w(loose=True)

_MISE = _w("C:c:j:", "command= cd= jobs=", texts=("c", "command"), loose=True)
_MPI = _w(
    "n:c:H:x:N:",
    "np= host= hostfile= machinefile= map-by= bind-to= wdir= npernode= ppn=",
    single=True,
    loose=True,
)
_CONTAINER_RUN = _w(
    "a:c:de:h:il:m:p:Pqtu:v:w:",
    "add-host= annotation= attach= blkio-weight= cap-add= cap-drop= cgroup-parent= cgroupns= "
    "cidfile= cpu-period= "
    "cpu-quota= cpu-shares= cpus= cpuset-cpus= cpuset-mems= detach detach-keys= device= "
    "device-cgroup-rule= "
    "disable-content-trust dns= dns-option= dns-search= domainname= entrypoint= env= env-file= "
    "expose= gpus= "
    "group-add= health-cmd= health-interval= health-retries= health-start-period= "
    "health-timeout= hostname= "
    "init interactive ip= ip6= ipc= isolation= kernel-memory= label= label-file= link= "
    "log-driver= log-opt= "
    "mac-address= memory= memory-reservation= memory-swap= memory-swappiness= mount= name= net= "
    "network= "
    "network-alias= no-healthcheck oom-kill-disable oom-score-adj= pid= pids-limit= platform= "
    "privileged publish= "
    "publish-all pull= quiet read-only replace restart= rm runtime= security-opt= shm-size= "
    "sig-proxy stop-signal= "
    "stop-timeout= storage-opt= sysctl= systemd= tmpfs= tty ulimit= user= userns= uts= volume= "
    "volumes-from= workdir=",
    skip=1,
    elsewhere=True,
    texts=("health-cmd",),
)
_CONTAINER_EXEC = _w(
    "de:itu:w:T",
    "detach detach-keys= env= env-file= interactive privileged tty user= workdir= index= no-tty "
    "latest",
    skip=1,
    elsewhere=True,
)
TOOLS: dict[str, Wrapper] = {
    "docker run": _CONTAINER_RUN,
    "docker create": _CONTAINER_RUN,
    "docker exec": _CONTAINER_EXEC,
    "lxc exec": _w(
        "ntT",
        "env= user= group= cwd= mode= force-interactive force-noninteractive",
        skip=1,
        elsewhere=True,
    ),
    "machinectl shell": _w("qE:", "uid= setenv=", skip=1, elsewhere=True),
    "systemd-nspawn": _LOOSE,
    "uv run": _w(
        "p:m:s:qvnw:",
        "python= with= with-requirements= with-editable= package= "
        "project= directory= extra= "
        "group= env-file= index= script module isolated no-project frozen locked active "
        "all-extras no-sync "
        "quiet verbose offline only-group= no-group= no-dev refresh no-env-file",
        directory=("directory",),
    ),
    "uvx": _w(
        "p:w:qv",
        "from= with= python= with-requirements= with-editable= index= isolated "
        "quiet verbose offline refresh",
    ),
    "uv tool run": _w(
        "p:w:qv",
        "from= with= python= with-requirements= index= isolated quiet verbose offline refresh",
    ),
    "npx": _w(
        "p:c:yqn",
        "package= call= yes no quiet ignore-existing no-install workspace= workspaces",
        texts=("c", "call"),
    ),
    "npm exec": _w("p:c:yw:", "package= call= yes no workspace= workspaces", texts=("c", "call")),
    "npm x": _w("p:c:y", "package= call= yes no", texts=("c", "call")),
    "bunx": _w("p:", "bun package= verbose silent"),
    "bun x": _w("p:", "bun package= verbose silent"),
    "pnpm exec": _w("rc", "recursive parallel shell-mode"),
    "pnpm dlx": _w("c", "package= shell-mode silent"),
    "yarn exec": _PASS,
    "yarn dlx": _w("p:q", "package= quiet"),
    "pipx run": _w("v", "spec= python= verbose no-cache path pypackages pip-args= index-url="),
    "conda run": _w(
        "n:p:v",
        "name= prefix= cwd= no-capture-output live-stream verbose dev debug-wrapper-scripts",
        directory=("cwd",),
    ),
    "mamba run": _w(
        "n:p:va:", "name= prefix= cwd= no-capture-output live-stream attach=", directory=("cwd",)
    ),
    "micromamba run": _w(
        "n:p:va:e:", "name= prefix= cwd= attach= clean-env detach env=", directory=("cwd",)
    ),
    "poetry run": _PASS,
    "pipenv run": _PASS,
    "pdm run": _LOOSE,
    "rye run": _LOOSE,
    "hatch run": _PASS,
    "pixi run": _w("e:", "environment= manifest-path= locked frozen"),
    "bundle exec": _PASS,
    "rbenv exec": _PASS,
    "pyenv exec": _PASS,
    "nodenv exec": _PASS,
    "asdf exec": _PASS,
    "mise exec": _MISE,
    "direnv exec": _w(skip=1),
    "dotenv run": _PASS,
    "op run": _w("", "env-file= no-masking account="),
    "doppler run": _w("p:c:t:", "project= config= token= command=", texts=("command",)),
    "aws-vault exec": _w("d:", "duration= server region= no-session", skip=1),
    "chronic": _w("ve"),
    "ts": _PASS,
    "tsp": _w("nfmdL:N:D:E"),
    "pueue add": _w(
        "iseg:d:a:l:w:",
        "immediate follow group= after= label= working-directory= delay= stashed escape",
        joined=True,
    ),
    "nix-shell": _w(
        "p:A:I:", "run= command= pure packages= attr= keep=", texts=("run", "command"), skip=999
    ),
    "snap run": _LOOSE,
    "just --command": _PASS,
    "bpftrace": _w("c:e:p:o:", texts=("c",), skip=999),
    "dtach": _w("a:A:n:N:c:e:r:Ez", loose=True),
    "xterm": _LOOSE,
    "memusage": _LOOSE,
    "heaptrack": _LOOSE,
    "rr": _LOOSE,
    "rlwrap": _w("a::b:c:C:D:e:f:g:hH:iI:l:mM:nNo:O:p::P:q:rRs:S:t:UvWw:z:A"),
    "winpty": _PASS,
    "wine": _PASS,
    "qemu-x86_64": _w("g:L:s:cpu:E:U:0:r:B:R:d:D:", loose=True),
    "eatmydata": _PASS,
    "daemonize": _w("ac:e:E:o:p:l:u:v", directory=("c",)),
    "daemon": _LOOSE,
    "ip netns exec": _w(skip=1),
    "ip vrf exec": _w(skip=1),
    "slirp4netns": _LOOSE,
    "rootlesskit": _LOOSE,
    "coverage run": _LOOSE,
    "accelerate launch": _LOOSE,
    "torchrun": _LOOSE,
    "mpirun": _MPI,
    "mpiexec": _MPI,
    "srun": _LOOSE,
    "sbatch": _LOOSE,
    "qsub": _LOOSE,
    "bsub": _w("n:q:J:o:e:W:R:M:P:m:w:", loose=True, joined=True),
    "ccache": _w("cCszvhpM:F:o:k:x:X:d:", "max-size= max-files= set-config= get-config= dir="),
    "sccache": _w("szhV", "show-stats zero-stats start-server stop-server dist-status"),
    "consul exec": _w("", "node= service= tag= datacenter= wait= shell=", single=True, joined=True),
    "consul lock": _w("n:", "n= name= timeout= child-exit-code", single=True, skip=1, joined=True),
    "consul watch": _w(
        "", "type= key= prefix= name= state= service= tag= shell=", single=True, joined=True
    ),
    "sky exec": _w("c:d", "cluster= gpus= env=", skip=1, joined=True, elsewhere=True),
    "sky launch": _w("c:yd", "cluster= gpus= env= yes", joined=True, elsewhere=True),
    "dbclient": _w("p:l:i:J:W:K:I:L:R:B:c:m:b:yNfgsTAt", skip=1, joined=True, elsewhere=True),
    "plink": _w("P:l:i:", "pw= batch ssh", single=True, skip=1, joined=True, elsewhere=True),
    "gh codespace ssh": _w("c:", "codespace= repo= profile=", joined=True, elsewhere=True),
    "gh cs ssh": _w("c:", "codespace= repo= profile=", joined=True, elsewhere=True),
    "sops exec-env": _w(skip=1, joined=True),
    "sops exec-file": _w("", "filename= no-fifo", skip=1, joined=True),
    "ray exec": _w("n:", "cluster-name= stop start screen tmux", skip=1, joined=True),
    "dsh": _w("m:g:f:o:Mcaiqvw", joined=True, elsewhere=True),
    "proot": _w("r:b:q:w:v:k:i:0S:R:", "rootfs= bind= pwd= cwd= root-id", loose=True),
    "adb shell": _w("e:nTtx", joined=True, elsewhere=True),
    "minikube ssh": _w("p:n:", "profile= node=", joined=True, elsewhere=True),
    "vagrant ssh": _w("c:", "command=", texts=("c", "command"), skip=999, elsewhere=True),
    "multipass exec": _w("d:", "working-directory=", skip=1, elsewhere=True),
    "limactl shell": _w("", "workdir= shell=", skip=1, elsewhere=True),
    "lima": _PASS,
    "distrobox enter": _w("n:e", "name= exec", skip=1),
    "toolbox run": _w("c:d:r:", "container= distro= release="),
    "flatpak-spawn": _LOOSE,
    "schroot": _w("c:u:d:p", "chroot= user= directory= all", directory=("d", "directory")),
    "pct exec": _w(skip=1, elsewhere=True),
    "jexec": _w("lU:u:", skip=1),
    "gnome-terminal": _LOOSE,
    "wsl": _w("d:u:e", "distribution= user= cd= exec", loose=True),
    "pdsh": _w("w:x:l:t:u:f:", skip=0, joined=True, elsewhere=True),
    "clush": _w("w:x:l:t:u:f:ab", "nodes=", joined=True, elsewhere=True),
    "heroku run": _w("a:", "app= size= type=", joined=True, elsewhere=True),
    "gdb": _w("", "args", loose=True),
    "cmake -E env": _w("", "unset= modify=", assigns=True),
    "cmake -E time": _PASS,
    "cmake -E chdir": _w(skip=1),
    "mise x": _MISE,
    "tox exec": _LOOSE,
    "infisical run": _w("", "command= env= path=", texts=("command",), loose=True),
    "meson devenv": _LOOSE,
    "composer exec": _LOOSE,
    "foreman run": _LOOSE,
    "forever start": _LOOSE,
    "pm2 start": _w("i:", "name= watch", joined=True, loose=True),
    "watchexec": _w("w:e:f:i:d:s:o:E:rcn", loose=True),
    "zellij run": _LOOSE,
    "wezterm start": _LOOSE,
    "kitty": _LOOSE,
    "buildah run": _w("t", skip=1, elsewhere=True, loose=True),
    "crictl exec": _w("itsr:", skip=1, elsewhere=True, loose=True),
    "lxc-attach": _w("n:f:a:eu:g:v:s:P:o:l:", "name=", elsewhere=True, loose=True),
    "parallel-ssh": _w("H:h:l:p:o:e:t:O:x:X:AiIvP", joined=True, elsewhere=True, loose=True),
    "pssh": _w("H:h:l:p:o:e:t:O:x:X:AiIvP", joined=True, elsewhere=True, loose=True),
}
