"""What an audit log tells, as parts of pages: of the report in a file, and of the dashboard."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firewall.cli.chart import Mark, Sample, chart, moment
from firewall.cli.lines import clock, decision, line, part
from firewall.cli.markup import Element, element
from firewall.cli.story import chapters

if TYPE_CHECKING:
    from firewall.audit import Report

type Record = Mapping[str, Any]

ALERT_KINDS = ("gpu-alert", "gpu-response", "gpu-release")


def style() -> str:
    """The style of all pages."""
    return Path(__file__).with_name("evidence.css").read_text()


def mark(number: int, record: Record) -> Mark | None:
    """An attempt's place on the time line; None where its time is not told."""
    at = moment(record.get("time"))
    return None if at is None else Mark(at, number, str(line(record)))


def verification(checked: "Report", when: str) -> Element:
    """Whether the log holds, as of `when`."""
    from firewall.cli.verification import told, told_checkpoints

    standing = "good" if checked.status == "intact" else "bad"
    lines = [*map(told, checked.chains), told_checkpoints(checked)]
    return element(
        "section",
        element("h2", "The log is ", element("span", checked.status, class_=standing)),
        element("p", f"verified {when}"),
        element("ul", *(element("li", words) for words in lines)),
        id="verification",
    )


def charts(devices: Mapping[int, Sequence[Sample]], marks: Sequence[Mark]) -> Element:
    """The time lines of all devices."""
    drawn = [chart(f"GPU {index}", found, marks) for index, found in sorted(devices.items())]
    nothing = element("p", "No record tells what a GPU did.")
    return element("section", element("h2", "GPUs"), *(drawn or [nothing]), id="gpus")


def alerts(records: Iterable[Record]) -> Element:
    """What was unusual about GPUs, and what was done about it."""
    rows = [_alert(each) for each in records]
    nothing = element("p", "No alert about a GPU is recorded.")
    listed = element("ul", *rows, class_="alerts") if rows else nothing
    return element("section", element("h2", "GPU alerts"), listed, id="alerts")


def _alert(record: Record) -> Element:
    words = line(record)
    day = str(record.get("time", ""))[:10]
    return element(
        "li",
        element("time", f"{day} {words.time}"),
        f" {words.rule} ",
        element("b", words.what),
        f" {words.who}: {words.why}",
    )


def attempt(number: int, record: Record, after: Record | None, *, unfolded: bool) -> Element:
    """A blocked attempt: a headline, and below it all that is known of it."""
    told = (
        (element("dt", title), element("dd", *(element("div", each) for each in lines)))
        for title, lines in chapters(record, after).items()
    )
    return element(
        "details",
        _headline(number, record),
        element("p", f"{record.get('time')}, record {record.get('chain')}:{record.get('seq')}"),
        element("dl", *(each for pair in told for each in pair)),
        id=f"attempt-{number}",
        **({"open": ""} if unfolded else {}),
    )


def _headline(number: int, record: Record) -> Element:
    words, decided = line(record), decision(part(record, "verdict"))
    only_seen = "" if decided == "DENY" else f" ({decided.lower()})"
    return element(
        "summary",
        element("time", clock(record)),
        f" {number}. ",
        element("b", words.rule),
        f"{only_seen}: {words.what} ",
        element("span", words.who, class_="who"),
    )
