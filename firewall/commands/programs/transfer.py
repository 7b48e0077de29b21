"""Programs that fetch from a URL, or send to one."""

import os
import re
from collections.abc import Sequence

from firewall.commands.programs.options import Options, take
from firewall.commands.programs.told import Told, file_of, is_url
from firewall.requests import Intent

_CURL_SHORT = "AbcCdDeEFHhKmoPQrtTuUwxXYyz"
_CURL_LONG = frozenset({
    "--abstract-unix-socket", "--alt-svc", "--aws-sigv4", "--cacert", "--capath", "--cert",
    "--cert-type", "--ciphers", "--config", "--connect-timeout", "--connect-to", "--continue-at",
    "--cookie", "--cookie-jar", "--create-file-mode", "--crlfile", "--curves", "--data",
    "--data-ascii", "--data-binary", "--data-raw", "--data-urlencode", "--delegation",
    "--dns-interface", "--dns-ipv4-addr", "--dns-ipv6-addr", "--dns-servers", "--doh-url",
    "--dump-header", "--ech", "--egd-file", "--engine", "--etag-compare", "--etag-save",
    "--expand-url", "--expect100-timeout", "--form", "--form-string", "--ftp-account",
    "--ftp-alternative-to-user", "--ftp-method", "--ftp-port", "--ftp-ssl-ccc-mode",
    "--happy-eyeballs-timeout-ms", "--haproxy-clientip", "--header", "--hostpubmd5",
    "--hostpubsha256", "--hsts", "--interface", "--ip-tos", "--ipfs-gateway", "--json",
    "--keepalive-time", "--key", "--key-type", "--krb", "--libcurl", "--limit-rate",
    "--local-port", "--login-options", "--mail-auth", "--mail-from", "--mail-rcpt",
    "--max-filesize", "--max-redirs", "--max-time", "--netrc-file", "--noproxy",
    "--oauth2-bearer", "--output", "--output-dir", "--parallel-max", "--pass", "--pinnedpubkey",
    "--preproxy", "--proto", "--proto-default", "--proto-redir", "--proxy", "--proxy-cacert",
    "--proxy-capath", "--proxy-cert", "--proxy-cert-type", "--proxy-ciphers", "--proxy-crlfile",
    "--proxy-header", "--proxy-key", "--proxy-key-type", "--proxy-pass", "--proxy-pinnedpubkey",
    "--proxy-service-name", "--proxy-tls13-ciphers", "--proxy-tlsauthtype", "--proxy-tlspassword",
    "--proxy-tlsuser", "--proxy-user", "--proxy1.0", "--pubkey", "--quote", "--random-file",
    "--range", "--rate", "--referer", "--request", "--request-target", "--resolve", "--retry",
    "--retry-delay", "--retry-max-time", "--sasl-authzid", "--service-name", "--socks4",
    "--socks4a", "--socks5", "--socks5-gssapi-service", "--socks5-hostname", "--speed-limit",
    "--speed-time", "--stderr", "--telnet-option", "--tftp-blksize", "--time-cond", "--tls-max",
    "--tls13-ciphers", "--tlsauthtype", "--tlspassword", "--tlsuser", "--trace", "--trace-ascii",
    "--trace-config", "--unix-socket", "--upload-file", "--url", "--url-query", "--user",
    "--user-agent", "--variable", "--vlan-priority", "--write-out",
})  # fmt: skip
"""curl --help all: the options that are shown with a value."""
_CURL_DATA = ("-d", "--data", "--data-ascii", "--data-binary", "--data-urlencode", "--json")
_CURL_SENDS = (*_CURL_DATA, "--data-raw", "-F", "--form", "--form-string", "-T", "--upload-file")
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_WGET_SHORT = "aAbBeDgGiIloOPQRtTUwX"
_WGET_LONG = frozenset({
    "--accept", "--accept-regex", "--append-output", "--backups", "--base", "--bind-address",
    "--body-data", "--body-file", "--ca-certificate", "--ca-directory", "--certificate",
    "--certificate-type", "--ciphers", "--compression", "--config", "--connect-timeout",
    "--crl-file", "--cut-dirs", "--default-page", "--directory-prefix", "--dns-timeout",
    "--domains", "--exclude-directories", "--exclude-domains", "--execute", "--follow-tags",
    "--ftp-password", "--ftp-user", "--header", "--http-password", "--http-user", "--ignore-tags",
    "--include-directories", "--input-file", "--level", "--limit-rate", "--load-cookies",
    "--local-encoding", "--method", "--output-document", "--output-file", "--password",
    "--pinnedpubkey", "--post-data", "--post-file", "--prefer-family", "--private-key",
    "--private-key-type", "--progress", "--proxy-password", "--proxy-user", "--quota",
    "--read-timeout", "--referer", "--regex-type", "--reject", "--reject-regex", "--rejected-log",
    "--remote-encoding", "--report-speed", "--restrict-file-names", "--retry-on-http-error",
    "--save-cookies", "--secure-protocol", "--start-pos", "--timeout", "--tries", "--use-askpass",
    "--user", "--user-agent", "--wait", "--waitretry", "--warc-dedup", "--warc-file",
    "--warc-header", "--warc-max-size", "--warc-tempdir",
})  # fmt: skip

_ARIA_LONG = frozenset({"--dir", "--out", "--input-file", "--header", "--checksum", "--split"})
_HTTP_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def curl(arguments: Sequence[str]) -> Told:
    """curl(1)."""
    options = take(arguments, _CURL_SHORT, _CURL_LONG)
    urls = [*options.values("--url"), *options.rest]
    reads = _sent_files(options)
    outputs = options.values("-o", "--output")
    folder = next(iter(options.values("--output-dir")), "")
    if options.has("-O", "--remote-name", "--remote-name-all"):
        outputs += [file_of(url) for url in urls]
    writes = [os.path.join(folder, each) for each in outputs if each and each != "-"]
    writes += options.values("-D", "--dump-header", "-c", "--cookie-jar", "--trace")
    method = next(iter(options.values("-X", "--request")), "").upper()
    sends = options.has(*_CURL_SENDS) and not options.has("-G", "--get")
    intents = [_intent(url, writes, sends=sends or method in _BODY_METHODS) for url in urls]
    return Told(tuple(intents), tuple(reads), tuple(each for each in writes if each))


def _sent_files(options: Options) -> list[str]:
    """What curl reads: @FILE in data, =@FILE and =<FILE in forms, -T FILE, -K FILE."""
    found = options.values("-T", "--upload-file", "-K", "--config")
    found += [each[7:] for each in options.rest if each.startswith("file:///")]
    found += [each[1:] for each in options.values(*_CURL_DATA) if each.startswith("@")]
    for each in options.values("-F", "--form"):
        _, _, value = each.partition("=")
        if value[:1] in ("@", "<"):
            found.append(value[1:].partition(";")[0])
    for each in options.values("--data-urlencode"):
        _, at, name = each.partition("@")
        if at and not each.startswith("@"):
            found.append(name)
    return [each for each in found if each not in ("-", ".", "")]


def _intent(url: str, writes: Sequence[str], *, sends: bool) -> Intent:
    if sends:
        return Intent("upload", url)
    return Intent("download", url, next(iter(writes), ""))


def wget(arguments: Sequence[str]) -> Told:
    """wget(1), and wget2(1) as far as they agree."""
    options = take(arguments, _WGET_SHORT, _WGET_LONG)
    folder = next(iter(options.values("-P", "--directory-prefix")), "")
    named = options.values("-O", "--output-document")
    sends = options.has("--post-data", "--post-file", "--body-data", "--body-file")
    method = next(iter(options.values("--method")), "").upper()
    reads = options.values("--post-file", "--body-file", "-i", "--input-file")
    intents, writes = [], list(named)
    for url in options.rest:
        wrote = named or [os.path.join(folder, file_of(url) or "index.html")]
        writes += [] if named else wrote
        intents.append(_intent(url, wrote, sends=sends or method in _BODY_METHODS))
    lists = options.values("-i", "--input-file")
    intents += [Intent("download", each, next(iter(named), "")) for each in lists]
    return Told(tuple(intents), tuple(reads), tuple(each for each in writes if each != "-"))


def kubectl(arguments: Sequence[str]) -> Told:
    """kubectl cp FROM TO, one of them POD:PATH."""
    words = take(arguments, "ncs", {"--namespace", "--container", "--context", "--retries"}).rest
    place = words.index("cp") + 1 if "cp" in words else len(words)
    match words[place : place + 2]:
        case [near, far] if ":" in far:
            return Told((Intent("upload", far),), (near,))
        case [far, near] if ":" in far:
            return Told((Intent("download", far, near),), (), (near,))
    return Told()


def fetcher(arguments: Sequence[str]) -> Told:
    """Downloaders with -o FILE and -d or --dir FOLDER: aria2c, axel, fetch, lftp's mirror."""
    options = take(arguments, "odsxnU", _ARIA_LONG)
    folder = next(iter(options.values("-d", "--dir")), "")
    named = options.values("-o", "--out", "--output")
    intents, writes = [], []
    for url in options.rest:
        if is_url(url) or "." in url:
            wrote = [os.path.join(folder, each) for each in named or [file_of(url)] if each]
            writes += wrote
            intents.append(Intent("download", url, next(iter(wrote), "")))
    return Told(tuple(intents), (), tuple(dict.fromkeys(writes)))


def httpie(arguments: Sequence[str]) -> Told:
    """http(1) and xh: [METHOD] URL [ITEM...]; items with = or := or @ make it a POST."""
    options = take(arguments, "aAobsvhf", {"--output", "--auth", "--session", "--verify"})
    words = list(options.rest)
    method = words.pop(0) if words and words[0].upper() in _HTTP_METHODS else ""
    if not words:
        return Told()
    url, items = words[0], words[1:]
    reads = [each.partition("@")[2] for each in items if "@" in each]
    data = any("=" in each.replace("==", "") or "@" in each for each in items)
    sends = method.upper() in _BODY_METHODS or (not method and data)
    writes = options.values("-o", "--output")
    return Told((_intent(url, writes, sends=sends),), tuple(reads), tuple(writes))


_CLOUDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "aws": (("s3", "cp"), ("s3", "mv"), ("s3", "sync")),
    "gsutil": (("cp",), ("mv",), ("rsync",)),
    "gcloud": (("storage", "cp"), ("storage", "mv"), ("storage", "rsync")),
    "rclone": (
        ("copy",),
        ("copyto",),
        ("copyurl",),
        ("move",),
        ("moveto",),
        ("sync",),
        ("bisync",),
    ),
    "s3cmd": (("put",), ("get",), ("sync",)),
}
_BUCKET = re.compile(r"(?:s3|gs|az)://|[A-Za-z0-9_-]{2,}:(?!//)")


def cloud(name: str, arguments: Sequence[str]) -> Told:
    """Copies to and from buckets: aws s3 cp, gsutil cp, rclone copy. The last word is where to."""
    words = [each for each in arguments if not each.startswith("-")]
    paths = _after(words, _CLOUDS[name])
    if len(paths) < 2:
        return Told()
    *sources, target = paths
    if _BUCKET.match(target):
        near = tuple(each for each in sources if not _BUCKET.match(each))
        return Told((Intent("upload", target),), near)
    far = [each for each in sources if _BUCKET.match(each)]
    return Told(tuple(Intent("download", each, target) for each in far), (), (target,))


def _after(words: Sequence[str], verbs: Sequence[tuple[str, ...]]) -> Sequence[str]:
    """What follows a verb. The values of options, which are not known here, may come before it."""
    for at in range(len(words)):
        for verb in verbs:
            if tuple(words[at : at + len(verb)]) == verb:
                return words[at + len(verb) :]
    return ()


def lwp_download(arguments: Sequence[str]) -> Told:
    """lwp-download(1): URL [FILE]."""
    url, *named = take(arguments, "s").rest or ("",)
    wrote = tuple(each for each in (named[:1] or [file_of(url)]) if each)
    return Told((_intent(url, wrote, sends=False),), (), wrote) if url else Told()


_LFTP_SENDS = ("put", "mput", "reput")
_LFTP_GETS = ("get", "mget", "pget", "reget", "cat")


def lftp(arguments: Sequence[str]) -> Told:
    """lftp(1): a site, and what -c or -e tells to do there."""
    options = take(arguments, "cefups", {"--norc"})
    site = options.rest[0] if options.rest else ""
    scripts = options.values("-c", "-e")
    told = [_ftp(line.split(), site) for text in scripts for line in re.split(r"[;&\n]+", text)]
    intents = tuple(each for one in told for each in one.intents)
    if not intents and site:
        intents = (Intent("download", site),)
    reads = tuple(each for one in told for each in one.reads)
    return Told(intents, (*reads, *options.values("-f")), tuple(w for t in told for w in t.writes))


def _ftp(words: Sequence[str], site: str) -> Told:
    """One line of an lftp script."""
    match words:
        case ["mirror", *rest]:
            sends = any(re.match(r"-[a-zA-Z]*R|--reverse", each) for each in rest)
            return Told((Intent("upload" if sends else "download", site),))
        case [verb, *rest] if verb in _LFTP_SENDS:
            files = take(rest, "oOP").rest
            return Told((Intent("upload", site),), files)
        case [verb, *rest] if verb in _LFTP_GETS:
            options = take(rest, "oOPn")
            wrote = options.values("-o") or [file_of(each) for each in options.rest]
            writes = tuple(each for each in wrote if each and verb != "cat")
            targets = options.rest or (site,)
            return Told(tuple(_intent(each, writes, sends=False) for each in targets), (), writes)
    return Told()
