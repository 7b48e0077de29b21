"""Programs of the system that start another one given after their own options."""

from firewall.commands.wrappers.rare import RARE
from firewall.commands.wrappers.tools import TOOLS
from firewall.commands.wrappers.wrapper import Wrapper
from firewall.commands.wrappers.wrapper import wrapper as _w

_PASS = _w()
_LOOSE = _w(loose=True)

_SUDO = _w(
    "ABbEeHhiKklNnPSsVvC:D:g:p:R:r:T:t:U:u:",
    "askpass background bell close-from= chdir= preserve-env edit group= set-home help host= "
    "login remove-timestamp "
    "reset-timestamp list non-interactive no-update preserve-groups prompt= chroot= role= stdin "
    "shell type= "
    "command-timeout= other-user= user= version validate",
    assigns=True,
    directory=("D", "chdir"),
)
_SU = _w(
    "lmpPs:c:g:G:w:fhVT",
    "command= session-command= login group= supp-group= preserve-environment pty no-pty shell= "
    "whitelist-environment= help version",
    texts=("c", "command", "session-command"),
    skip=1,
)
WRAPPERS: dict[str, Wrapper] = {
    "command": _w("pvV"),
    "builtin": _PASS,
    "exec": _w("cla:"),
    "nohup": _w("", "help version"),
    "sudo": _SUDO,
    "sudoedit": _SUDO,
    "doas": _w("Lnsa:C:u:"),
    "pkexec": _w("u:", "user= disable-internal-agent keep-cwd help version"),
    "run0": _w(
        "u:g:D:",
        "user= group= chdir= nice= unit= property= setenv= slice= background= "
        "machine= "
        "description= slice-inherit no-ask-password pipe pty shell-prompt-prefix=",
        directory=("D", "chdir"),
    ),
    "su": _SU,
    "runuser": _w(
        "lmpPs:c:g:G:w:fhVTu:",
        "command= session-command= login group= supp-group= preserve-environment pty "
        "shell= user= "
        "whitelist-environment= fast help version",
        texts=("c", "command", "session-command"),
    ),
    "sg": _w("c:", texts=("c",), skip=1, joined=True),
    "env": _w(
        "i0u:C:S:vP:",
        "ignore-environment null unset= chdir= split-string= block-signal "
        "default-signal "
        "ignore-signal list-signal-handling debug argv0= help version",
        assigns=True,
        directory=("C", "chdir"),
    ),
    "timeout": _w(
        "k:s:vfp", "kill-after= signal= verbose foreground preserve-status help version", skip=1
    ),
    "nice": _w("n:0123456789", "adjustment= help version"),
    "ionice": _w("c:n:tp:P:u:", "class= classdata= ignore pid= pgid= uid= help version"),
    "chrt": _w(
        "abdefimoprvRT:P:D:G",
        "all-tasks batch deadline fifo idle max other pid rr "
        "verbose reset-on-fork "
        "sched-runtime= sched-period= sched-deadline= help version",
        skip=1,
    ),
    "taskset": _w("apch", "all-tasks pid cpu-list help version", skip=1),
    "numactl": _w(
        "i:w:p:P:m:c:N:C:ablsHhDS:f:o:L:M:tTdV",
        "interleave= weighted-interleave= "
        "preferred= membind= "
        "cpunodebind= physcpubind= localalloc balancing show hardware all length= "
        "offset= shm= file= huge touch",
    ),
    "setsid": _w("cfwhV", "ctty fork wait help version"),
    "stdbuf": _w("i:o:e:", "input= output= error= help version"),
    "unbuffer": _w("p"),
    "time": _w(
        "apqvVf:o:", "append format= output= portability quiet verbose help version", assigns=True
    ),
    "watch": _w(
        "bcd::egn:pq:rs:tvwxhC",
        "beep color no-color differences errexit chgexit "
        "interval= precise equexit= "
        "no-rerun shotsdir= no-title no-wrap exec help version",
        joined=True,
    ),
    "flock": _w(
        "sxeunoFc:w:E:Vhv",
        "shared exclusive unlock nonblock nb close no-fork command= "
        "timeout= wait= "
        "conflict-exit-code= verbose help version fcntl",
        skip=1,
        texts=("c", "command"),
    ),
    "script": _w(
        "ac:eE:fI:O:B:T:m:o:qt::hV",
        "append command= echo= flush force log-in= "
        "log-out= log-io= log-timing= "
        "logging-format= output-limit= quiet return timing help version",
        texts=("c", "command"),
        skip=1,
    ),
    "unshare": _w(
        "mUinpuCTfrcS:G:R:w:hVl:",
        "mount uts ipc net pid user cgroup time fork "
        "map-user= map-group= "
        "map-root-user map-current-user map-auto map-users= map-groups= kill-child "
        "mount-proc propagation= "
        "setgroups= keep-caps root= wd= setuid= setgid= monotonic= boottime= "
        "load-interp= mount-binfmt help version",
        starts_shell=True,
        directory=("w", "wd"),
    ),
    "nsenter": _w(
        "at:m::u::i::n::p::C::U::T::S:G:r::w::W:FeZcN:hV",
        "all target= mount uts ipc net pid cgroup user time setuid= setgid= root wd "
        "wdns= env "
        "no-fork preserve-credentials keep-caps join-cgroup follow-context user-parent "
        "help version",
        starts_shell=True,
    ),
    "chroot": _w("", "groups= userspec= skip-chdir help version", skip=1, starts_shell=True),
    "setpriv": _w(
        "dhV",
        "dump no-new-privs nnp ambient-caps= inh-caps= bounding-set= ruid= "
        "euid= rgid= egid= reuid= "
        "regid= clear-groups keep-groups init-groups groups= securebits= pdeathsig= "
        "ptracer= selinux-label= "
        "apparmor-profile= landlock-access= landlock-rule= seccomp-filter= reset-env "
        "list-caps help version",
    ),
    "prlimit": _w(
        "c::d::e::f::i::l::m::n::q::r::s::t::u::v::x::y::p:o:hV",
        "core data nice "
        "fsize sigpending "
        "memlock "
        "rss nofile msgqueue rtprio stack cpu nproc as locks rttime pid= output= "
        "noheadings raw verbose help version",
    ),
    "catchsegv": _PASS,
    "strace": _w(
        "aAb:cCdDe:E:fFhiI:kno:O:p:P:qrs:S:tTu:U:vVwxX:yzZY",
        "attach= argv0= columns= env= trace= signal= output= user= string-limit= "
        "follow-forks status= "
        "summary summary-only summary-sort-by= seccomp-bpf tips decode-fds decode-pids= "
        "syscall-times "
        "daemonize "
        "interruptible= quiet= trace-path= kill-on-exit stack-traces",
    ),
    "ltrace": _w(
        "a:bcCD:e:fF:hiLl:n:o:p:rs:StTu:Vw:x:", "align= config= debug= library= output= indent="
    ),
    "gdbserver": _w("", "once multi attach debug wrapper disable-packet=", skip=1, loose=True),
    "valgrind": _LOOSE,
    "perf stat": _w(
        "e:r:o:x:p:t:C:G:I:adcvnABiDMT",
        "event= repeat= output= field-separator= "
        "pid= tid= cpu= "
        "all-cpus detailed delay= per-core per-socket no-inherit verbose append "
        "interval-print= timeout=",
    ),
    "perf record": _w(
        "e:o:F:c:p:t:C:agsdvqk:R", "event= output= freq= count= pid= tid= cpu= all-cpus call-graph="
    ),
    "perf trace": _w("e:o:p:t:u:asSfFvTC:", "event= output= pid= tid= uid= summary duration="),
    "catatonit": _PASS,
    "tini": _w("p:e:vwgsl", "version"),
    "dumb-init": _w("r:cvhV", "rewrite= single-child verbose help version"),
    "faketime": _w("mf:p:", "exclude-monotonic help version disable-fs-dates date-prog=", skip=1),
    "fakeroot": _w("l:f:i:s:ub:vh", "lib= faked= unknown-is-real fd-base= version help"),
    "fakechroot": _w(
        "l:d:e:sb:c:hv", "lib= elfloader= environment= use-system-libs bindir= config-dir="
    ),
    "proxychains": _w("qf:"),
    "proxychains4": _w("qf:"),
    "torsocks": _w("u:p:a:P:diqh", "user= pass= address= port= isolate debug quiet shell"),
    "torify": _w("v"),
    "tsocks": _PASS,
    "firejail": _LOOSE,
    "dbus-run-session": _w("", "config-file= dbus-daemon= help version"),
    "dbus-launch": _LOOSE,
    "xvfb-run": _w(
        "ae:f:hln:p:s:w:",
        "auto-servernum error-file= auth-file= server-num= "
        "xauth-protocol= "
        "server-args= wait= listen-tcp help",
    ),
    "systemd-run": _w(
        "GqrtPSu:p:E:d",
        "unit= property= setenv= description= slice= uid= gid= "
        "nice= working-directory= "
        "same-dir user system scope wait pty pipe quiet collect shell "
        "remain-after-exit on-active= "
        "on-calendar= on-boot= timer-property= service-type= machine= host= "
        "no-block send-sighup",
        directory=("working-directory",),
    ),
    "systemd-inhibit": _w("", "what= who= why= mode= list no-pager"),
    "caffeinate": _w("dimsut:w:"),
    "chpst": _w("vP012u:U:b:e:/:n:l:L:m:d:o:p:f:c:r:t:C:", directory=("C",)),
    "softlimit": _w("d:s:l:m:o:p:f:c:r:t:a:"),
    "linux64": _PASS,
    "linux32": _PASS,
    "i386": _PASS,
    "x86_64": _PASS,
    "cpulimit": _w(
        "l:p:e:vzibfh",
        "limit= pid= exe= verbose lazy include-children background foreground monitor-forks",
    ),
    "cgexec": _w("g:", "sticky"),
    "aa-exec": _w("p:n:dviIh", "profile= namespace= debug verbose immediate"),
    "runcon": _w("ct:u:r:l:", "compute type= user= role= range=", skip=1),
    "ssh-agent": _w("a:E:cDdkP:st:O:TUu"),
    "sshpass": _w("p:f:d:eP:vhV"),
    "setuidgid": _w(skip=1),
    "gosu": _w(skip=1),
    "su-exec": _w(skip=1),
    "start-stop-daemon": _LOOSE,
    "entr": _w("acdnprsxz", joined=True),
    "hyperfine": _w(
        "w:m:M:r:p:s:c:S:Ni:u:n:L:P:D:",
        "warmup= min-runs= max-runs= runs= prepare= "
        "setup= cleanup= "
        "conclude= shell= export-json= export-csv= export-markdown= ignore-failure "
        "show-output "
        "command-name= parameter-list= parameter-scan= output= input= style= "
        "time-unit= reference=",
        texts=("p", "s", "c", "prepare", "setup", "cleanup"),
        joined=True,
    ),
    "at-spi-bus-launcher": _PASS,
    "busybox": _PASS,
    "toybox": _PASS,
    "nq": _w("cqw"),
    "xe": _w("0a:f:j:N:I:pRLFs:v"),
    "newgrp": _w(skip=1),
}
WRAPPERS |= TOOLS | RARE

ALIASES = {
    "gdoas": "doas",
    "gtimeout": "timeout",
    "genv": "env",
    "gnice": "nice",
    "/usr/bin/time": "time",
    "gtime": "time",
    "podman": "docker",
    "nerdctl": "docker",
    "proxychains3": "proxychains",
    "please": "sudo",
    "sudo-rs": "sudo",
    "pnpx": "npx",
    "gstdbuf": "stdbuf",
    "gnohup": "nohup",
    "incus": "lxc",
    "usleep": "sleep",
    "task-spooler": "ts",
}
