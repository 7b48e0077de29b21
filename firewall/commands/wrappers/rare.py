"""Programs that are seldom used and start another one, of which little more is known than that.

Options unknown here are taken for flags, and the words after them are read as well.
"""

from firewall.commands.wrappers.wrapper import Wrapper, wrapper

_TABLE = """
0: systemd-cat, systemd-socket-activate, schedtool, timelimit, s6-softlimit, minijail0, pseudo
0: uname26, operf, uftrace, uftrace record, uftrace live, trace-cmd record, rr record, dtruss
0: perf mem record, perf c2c record, perf kvm record, perf lock record, perf sched record
0: perf ftrace, websocketd, ttyd, gotty, devbox run, rush, env-cmd, dotenv, docker unshare
0: samply record, py-spy record, flamegraph, nvprof, nsys profile, ncu, compute-sanitizer
0: cuda-gdb, cage, gamescope, mangohud, gamemoderun, optirun, primusrun, prime-run, xinit, trickle
1: lckdo, setlock, s6-setuidgid, s6-envdir, s6-setlock, envdir, envuidgid, arch-chroot, ch-run
1: singularity exec, singularity run, apptainer exec, apptainer run, udocker run, udocker exec
1: flatpak enter, spack build-env, systemd-dissect, lxc-execute, enroot start
2: tcpserver, tcpsvd, udpsvd, s6-tcpserver, s6-tcpserver4, s6-tcpserver6
2: ctr run, ctr containers run, ctr c run
1: docker machine ssh, ctr task exec, ctr tasks exec, ctr t exec
0: salloc, icecc, distcc, bear, intercept-build, scan-build, jsrun, aprun, ibrun, lsrun
0: flux run, flux submit, horovodrun, deepspeed, foot, envconsul, okteto exec, gpg-agent
1: chamber exec, envchain, lockf, with-lock-ex, runc exec, crun exec, telepresence intercept
0: moreutils-parallel, parallel.moreutils
"""
"""How many words stand before the command, and the programs or subcommands."""

RARE: dict[str, Wrapper] = {
    name.strip(): wrapper(skip=int(skip), loose=True)
    for skip, _, names in (line.partition(":") for line in _TABLE.split("\n")[1:-1])
    for name in names.split(",")
} | {"cross-env": wrapper(assigns=True), "cross-env-shell": wrapper(assigns=True, joined=True)}
