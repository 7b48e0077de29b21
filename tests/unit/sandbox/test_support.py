import errno
import os

import pytest

from firewall.sandbox import support


def settings(monkeypatch: pytest.MonkeyPatch, user: int, **values: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(support, "setting", lambda path: values.get(path.rsplit("/", 1)[1]))


@pytest.mark.parametrize(
    ("name", "value", "says", "remedy"),
    [
        ("max_user_namespaces", "0", "switched off", "sysctl -w user.max_user_namespaces=15000"),
        ("unprivileged_userns_clone", "0", "only root may", "unprivileged_userns_clone=1"),
        ("apparmor_restrict_unprivileged_userns", "1", "AppArmor keeps", "AppArmor profile with"),
    ],
)
def test_each_setting_that_refuses_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str, remedy: str
) -> None:
    settings(monkeypatch, 1000, **{name: value})
    [found] = support.refusals()
    assert says in found
    assert remedy in found
    text = support.explain("make its namespaces", errno.EPERM, "no")
    assert text == f"the sandbox could not make its namespaces: no; {found}"


def test_root_is_not_told_of_what_only_concerns_others(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = {"unprivileged_userns_clone": "0", "apparmor_restrict_unprivileged_userns": "1"}
    settings(monkeypatch, 0, **refusing)
    assert support.refusals() == []


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.EPERM, "seccomp=unconfined"),
        (errno.EACCES, "in a container"),
        (errno.ENOSYS, "Linux 5.12 or later is needed"),
        (errno.ENOENT, "firewall doctor"),
        (None, "broken"),
    ],
)
def test_other_failures_are_explained_by_their_code(
    monkeypatch: pytest.MonkeyPatch, code: int | None, says: str
) -> None:
    settings(monkeypatch, 1000)
    text = support.explain("set up its network", code, "broken")
    assert text.startswith("the sandbox could not set up its network: broken")
    assert says in text


def test_a_directory_is_not_the_containers_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    settings(monkeypatch, 1000, max_user_namespaces="0")
    text = support.explain("start in /closed", errno.EACCES, "denied")
    assert text == (
        "the agent's user could not start in /closed: denied; choose another directory or user"
    )


def test_a_setting_that_is_not_there() -> None:
    assert support.setting("/proc/sys/kernel/no_such_setting") is None
    assert support.setting("/proc/sys/kernel/ostype") == "Linux"
