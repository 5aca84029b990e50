"""Counts test results for ./dev test. Must not run or judge anything: what is not a pass, a skipped
test included, is a failure.

    count_results.py meson build/asan/meson-logs/testlog.json
    count_results.py junit build/e2e.xml

Prints `PASSED FAILED` and names each failure on standard error. A program of many cmocka tests
counts as many as it reports."""

import json
import re
import sys
import xml.etree.ElementTree as tree


def count_meson(path):
    passed = failed = 0
    for line in open(path, encoding="utf-8", errors="replace"):
        if not line.strip():
            continue
        record = json.loads(line)
        output = (record.get("stdout") or "") + (record.get("stderr") or "")
        good = sum(int(n) for n in re.findall(r"^\[  PASSED  \] (\d+) test", output, re.M))
        names = re.findall(r"^\[  FAILED  \] ([^\s,]+)$", output, re.M)
        if record["result"] in ("OK", "EXPECTEDFAIL"):
            passed += max(good, 1)
            continue
        passed += good
        failed += max(len(set(names)), 1)
        print(f"failed: {record['name']} ({record['result']}) {' '.join(sorted(set(names)))}",
              file=sys.stderr)
    return passed, failed


def count_junit(path):
    passed = failed = 0
    for case in tree.parse(path).getroot().iter("testcase"):
        bad = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        if not bad:
            passed += 1
            continue
        failed += 1
        print(f"failed: {case.get('classname')}.{case.get('name')} ({bad[0]})", file=sys.stderr)
    return passed, failed


def main():
    count = {"meson": count_meson, "junit": count_junit}[sys.argv[1]]
    try:
        passed, failed = count(sys.argv[2])
    except (OSError, ValueError, tree.ParseError) as error:
        print(f"failed: no results in {sys.argv[2]}: {error}", file=sys.stderr)
        passed, failed = 0, 1
    if passed + failed == 0:
        print(f"failed: not one test in {sys.argv[2]}", file=sys.stderr)
        failed = 1
    print(passed, failed)


main()
