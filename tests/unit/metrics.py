# SPDX-License-Identifier: GPL-2.0-only
"""usage: metrics.py [text | rules]

Test points of the metrics of mappings that are made up, and of the dashboard
that shows them. For promtool: the metrics, or the dashboard's expressions as
the rules of a file."""

import json
import os
import re
import sys

import made_up
from crypt_async import metrics, report
from points import end, equal, point

TOP = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")
SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')


def text(*names):
    """The metrics."""
    made = made_up.with_mappings()
    made.make(r'say\x20\x22x\x22\x5c', made.made[b"home"].table,
              status=made_up.STATUS)
    return list(metrics.openmetrics(
        [made_up.mapping.Mapping(name) for name in names]))


def samples(lines):
    """(name, labels, value) of each."""
    for line in lines:
        if not line.startswith("#"):
            name, labels, value = SAMPLE.fullmatch(line).groups()
            yield name, dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"',
                                        labels or "")), float(value)


def expressions():
    """Those of the dashboard."""
    with open(f"{TOP}/packaging/grafana/crypt-async.json",
              encoding="utf-8") as file:
        dashboard = json.load(file)
    yield from (target["expr"] for panel in dashboard["panels"]
                for target in panel["targets"])
    yield from (each["query"] for each in dashboard["templating"]["list"]
                if each["type"] == "query")


def print_rules():
    """A file of rules, with what Grafana would put in place of variables."""
    queries = [each for each in expressions()
               if not each.startswith("label_values(")]
    print(json.dumps({"groups": [{"name": "dashboard", "rules": [
        {"record": f"dashboard:{at}", "expr": query.replace(
            "$mapping", ".*").replace("$__rate_interval", "1m")}
        for at, query in enumerate(queries)]}]}))


if sys.argv[1:] == ["text"]:
    print("\n".join(text()))
    sys.exit()
if sys.argv[1:] == ["rules"]:
    print_rules()
    sys.exit()


@point
def values():
    """Each number of the status is there, of each line on the module."""
    found = {(name, labels.get("mapping")): (labels, value)
             for name, labels, value in samples(text())}
    for name, value in (("reads_total", 1), ("read_bytes_total", 3),
                        ("inline_total", 5), ("mem_waits_total", 11),
                        ("auth_errors_total", 13), ("errors_total", 25),
                        ("broken", 0), ("in_flight", 2),
                        ("memory_bytes", 7 * 4096),
                        ("memory_cached_bytes", 3 * 4096)):
        for mapping in ("home", "my disk"):
            labels, got = found[f"crypt_async_{name}", mapping]
            equal(got, value, name)
            equal(labels["start"], "8" if mapping == "my disk" else "0",
                  "where")
    labels, _ = found["crypt_async_mapping_info", "home"]
    equal({key: labels[key] for key in ("uuid", "cipher", "driver", "cpus")},
          {"uuid": "CRYPT-LUKS2-0-home", "cipher": "aes-xts-plain64",
           "driver": "xts-aes-aesni", "cpus": "any"}, "what it is")
    equal(found["crypt_async_mappings", None][1], 3, "how many")
    assert not any(mapping == "bare" for _, mapping in found), "on dm-crypt"
    assert ("crypt_async_broken", r'say \"x\"\\') in found, "a name"
    for key in re.findall(r"(\w+)=\d", made_up.STATUS):
        if key not in report.SETTINGS and key not in metrics.PAGES:
            names = (f"crypt_async_{key}_total", f"crypt_async_{key}")
            assert any(name in names for name, _ in found), key
    assert not any(made_up.KEY in line for line in text()), "a key"


@point
def buckets():
    """Histograms are those of the latency message, added up, in seconds."""
    found = [(labels["le"], value) for name, labels, value in samples(text())
             if name == "crypt_async_latency_seconds_bucket"
             and labels["mapping"] == "home" and labels["phase"] == "queue"
             and labels["direction"] == "read"]
    equal(len(found), 24, "buckets")
    equal(found[0], ("1.024e-06", 0), "the first")
    equal(found[10], ("0.00104858", sum(range(11))), "one within")
    equal(found[-1], ("+Inf", sum(range(24))), "the last has all")
    bounds = [float(bound) for bound, _ in found]
    assert all(abs(b / a - 2) < 1e-4
               for a, b in zip(bounds[:-2], bounds[1:-1])), bounds


@point
def families():
    """The samples of a family follow its help and type; names ask for one."""
    lines = text()
    equal(lines[-1], "# EOF", "the end")
    kinds, last = {}, None
    for line in lines[:-1]:
        if line.startswith("# TYPE"):
            _, _, last, kind = line.split()
            assert last not in kinds, f"{last} twice"
            kinds[last] = kind
        elif not line.startswith("#"):
            name = SAMPLE.match(line)[1]
            assert name in (last, f"{last}_bucket", f"{last}_count"), name
    equal(kinds["crypt_async_latency_seconds"], "histogram", "a kind")
    equal(kinds["crypt_async_reads_total"], "counter", "a kind")
    equal({labels["mapping"] for _, labels, _ in samples(text("my disk"))
           if "mapping" in labels}, {"my disk"}, "one by its name")


@point
def without():
    """Without the module or mappings there is still a number of them."""
    made_up.DeviceMapper().install()
    metrics.is_loaded = lambda name: False
    equal([value for name, _, value in samples(metrics.openmetrics([]))
           if name == "crypt_async_mappings"], [0], "mappings")


@point
def dashboard():
    """The dashboard has names of metrics and labels that there are."""
    labels = {}
    for name, words, _ in samples(text()):
        labels.setdefault(name, set()).update(words)
    used = set()
    for query in expressions():
        names = re.findall(r"crypt_async_\w+", query)
        assert names, query
        for name in names:
            assert name in labels, f"{name} in {query}"
        words = set(re.findall(r"(\w+)=~?\"", query))
        for listed in re.findall(r"by \(([^)]*)\)|, (\w+)\)$", query):
            words |= set(re.findall(r"\w+", " ".join(listed)))
        for word in words:
            assert all(word in labels[name] for name in names), \
                f"{word} in {query}"
        used |= set(names)
    assert len(used) > 15, used


end()
