"""What the documents say is what the program does: generated pages are not stale, examples are
accepted, commands and options that a page names exist."""

import os
import pathlib
import re
import subprocess

import pytest

from conftest import DROVER

ROOT = pathlib.Path(__file__).resolve().parents[2]

GENERATED = {
    "configuration": "docs/configuration.md",
    "manual": "docs/man/drover.yaml.5",
    "commands": "docs/man/drover.1",
}

PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("packaging/*.yaml")]
)


def drover(*arguments, **environment):
    return subprocess.run([DROVER, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, env={**os.environ, **environment})


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("part", GENERATED)
def test_a_generated_page_is_what_the_program_prints(part):
    printed = drover("docs", part)
    assert printed.returncode == 0, printed.stderr
    kept = (ROOT / GENERATED[part]).read_text()
    assert kept == printed.stdout, f"{GENERATED[part]} is stale: run ./dev docs"


def test_the_sample_has_nothing_to_warn_of(tmp_path):
    sample = tmp_path / "drover.yaml"
    sample.write_text(drover("docs", "sample").stdout)
    checked = drover("check", "-c", str(sample), OPENAI_API_KEY="sk-test")
    assert (checked.returncode, checked.stdout) == (0, f"{sample}: ok\n"), checked.stderr


def examples():
    for path in PAGES:
        text = path.read_text()
        if path.suffix == ".yaml":
            yield pytest.param(text, id=name_of(path))
            continue
        for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)):
            if re.search(r"^models:", block, re.M):
                yield pytest.param(block, id=f"{name_of(path)}-{number}")


@pytest.mark.parametrize("text", list(examples()))
def test_an_example_of_a_configuration_is_accepted(text, tmp_path):
    variables = {name: f"test-{name.lower()}" for name in re.findall(r"\$\{(\w+)\}", text)}
    example = tmp_path / "drover.yaml"
    example.write_text(text)
    checked = drover("check", "-c", str(example), **variables)
    assert (checked.returncode, checked.stdout) == (0, f"{example}: ok\n"), checked.stderr


@pytest.mark.parametrize("line,place,named", [
    ("tls: {cert: none.pem, key: none.key}", "3:6", "none.pem"),
    ("tls: {cert: drover.yaml, key: drover.yaml}", "3:6", "drover.yaml"),
    ("providers: {p: {base_url: 'https://p.example', ca_file: none.pem}}", "3:57", "none.pem"),
    ("providers: {p: {base_url: 'https://p.example', ca_file: drover.yaml}}", "3:57", "drover.yaml"),
])
def test_a_certificate_that_cannot_be_read_is_told_with_its_place(tmp_path, line, place, named):
    rest = "" if line.startswith("providers") else "providers: {p: {base_url: 'http://p'}}\n"
    (tmp_path / "drover.yaml").write_text(
        "models:\n  m: {price: {input: 1, output: 1}, targets: [{provider: p}]}\n"
        f"{line}\n{rest}")
    for command in ("check", "serve"):
        asked = subprocess.run([DROVER, command, "-c", "drover.yaml"], stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert asked.returncode == 1, asked.stdout
        assert f"drover.yaml:{place}: " in asked.stderr and named in asked.stderr, asked.stderr
        assert "; expected a readable PEM file" in asked.stderr


def commands():
    listed = re.findall(r"^  ([a-z]+) +\S", drover("--help").stdout, re.M)
    return {name: drover(name, "--help").stdout for name in listed}


def options_of(text):
    return {name for name in re.findall(r"(?<![\w-])--([a-z][a-z-]*)", text)}


def test_every_command_tells_its_usage():
    helps = commands()
    assert {"serve", "sim", "check", "account", "key", "usage", "docs"} <= set(helps)
    for name, text in helps.items():
        assert f"  drover {name}" in text, text
        assert "-h, --help" in text, text


def test_usage_lines_name_only_options_that_exist():
    for name, text in commands().items():
        usage, options = text.split("\noptions:\n")
        missing = options_of(usage) - options_of(options)
        assert not missing, f"drover {name} --help: {missing}"


def test_pages_name_only_commands_and_options_that_exist():
    helps = commands()
    for path in PAGES:
        # Decisions and the changelog may speak of what was or is to come.
        if path.suffix != ".md" or path.name == "CHANGELOG.md" or "adr" in path.parts:
            continue
        shell = "".join(re.findall(r"^```sh\n(.*?)^```", path.read_text(), re.M | re.S))
        for name, rest in re.findall(r"^(?:sudo -u drover |[\w./-]*/)?drover ([a-z]+)\b(.*)$", shell, re.M):
            assert name in helps, f"{name_of(path)}: there is no drover {name}"
            missing = options_of(rest.split("#")[0]) - options_of(helps[name])
            assert not missing, f"{name_of(path)}: drover {name} has no {missing}"


def test_links_between_pages_lead_somewhere():
    for path in PAGES:
        if path.suffix != ".md":
            continue
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
            if "://" not in link:
                assert (path.parent / link).exists(), f"{name_of(path)}: {link}"


def test_pages_name_only_files_that_exist():
    for path in PAGES:
        for file in re.findall(r"`((?:src|test|fuzz|docs|packaging|tools|bench)/[\w./-]+)`",
                               path.read_text()):
            # A tool is called by its name alone.
            is_there = (ROOT / file).exists() or (ROOT / f"{file}.c").exists()
            assert is_there, f"{name_of(path)}: there is no {file}"


def test_every_event_of_the_log_is_told_of():
    told = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", (ROOT / "docs/operating.md").read_text()))
    logged = set()
    for path in (ROOT / "src").glob("*/*.c"):
        if path.name.endswith("_test.c"):
            continue
        logged |= set(re.findall(r'dr_log\([^";]*"([a-z_]+\.[a-z_]+)"', path.read_text()))
    assert len(logged) > 10 and not logged - told, logged - told
