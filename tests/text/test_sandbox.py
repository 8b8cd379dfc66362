"""Bounds on what templates may do."""

import time

import jinja2
import pytest

from myna.core.errors import InvalidRequest
from myna.text import sandbox
from myna.text.sandbox import Sandbox


def render(source: str, **variables: object) -> str:
    """Compile and render a template."""
    environment = Sandbox()
    return environment.render(environment.compile_bounded(environment.parse(source)), variables)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "{% for x in range(3) %}{{ loop.last ~ loop.length ~ x }} {% endfor %}",
            "False30 False31 True32 ",
        ),
        ("{% for x in xs if x > 1 %}{{ loop.index }}{{ x }}{% else %}none{% endfor %}", "1223"),
        ("{% for x in missing %}x{% else %}none{% endfor %}", "none"),
        ("{% for x in xs | map('string') %}{{ x }}{% endfor %}", "123"),
        ("{% for k, v in {'a': 1}.items() %}{{ k ~ v }}{% endfor %}", "a1"),
        ("{% for x in xs %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}", "1"),
        ("{% set ns = namespace(n=0) %}{% for x in xs %}{% set ns.n = ns.n + x %}{% endfor %}", ""),
        ("{{ 'a' ~ 1 ~ none ~ missing }}", "a1None"),
        (
            "{{ 'ab' * 2 + 'c' }} {{ 2 ** 3 }} {{ '%s!' % 'x' }} {{ xs + [4] }}",
            "ababc 8 x! [1, 2, 3, 4]",
        ),
        (
            "{{ ['a', 'b'] | join(', ') }} {{ ','.join(['a', 'b']) }} {{ 'aa'.replace('a', 'b') }}",
            "a, b a,b bb",
        ),
        (
            "{{ 'a-b' | replace('-', '+') }} {{ 'a\nb' | indent(2) }} {{ '{}-{}'.format(1, 2) }}",
            "a+b a\n  b 1-2",
        ),
        (
            "{% generation %}{{ dict(a=1) }}{% endgeneration %}{{ dict([(1, 2)]) }}",
            "{'a': 1}{1: 2}",
        ),
        ("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(1) }}{{ f(2) }}", "<1><2>"),
        ("  {% if true %}\nx\n  {% endif %}\ny", "x\ny"),
        ('{{ {"é": "<b>"} | tojson }} {{ [1] | tojson(indent=1) }}', '{"é": "<b>"} [\n 1\n]'),
    ],
)
def test_ordinary_templates_render_as_ever(source: str, expected: str) -> None:
    assert render(source, xs=[1, 2, 3]) == expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", "loops"),
        (
            "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}"
            "{{ f(40) }}",
            "10000 loops and calls",
        ),
        ("{{ 'a' * 10 ** 9 }}", "16777216 characters"),
        ("{{ 10 ** 9 * 'a' }}", "16777216 characters"),
        ("{{ [0] * 10 ** 9 }}", "16777216 characters"),
        ("{{ 9 ** 9 ** 9 }}", "a number too large"),
        ("{{ (2 ** 250) * (2 ** 250) * (2 ** 250) }}", "a number too large"),
        ("{{ '%1000000000d' % 1 }}", "the format '%1000000000d'"),
        ("{{ '%*d' % (1000000000, 1) }}", "the format"),
        ("{{ '{:1000000000d}'.format(1) }}", "the format"),
        ("{{ 'a'.center(10 ** 9) }}", "a call with the number 1000000000"),
        ("{{ '{:{}}'.format(1, 10 ** 9) }}", "a call with the number"),
        ("{{ 'a' | indent(10 ** 9) }}", "16777216 characters"),
        ("{{ 'a' | indent('b' * 9999999 + 'b' * 9999999) }}", "16777216 characters"),
        ("{{ [1] | tojson(indent=10 ** 9) }}", "16777216 characters"),
        (
            "{% set ns = namespace(x='a') %}"
            "{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "16777216 characters",
        ),
        (
            "{% set ns = namespace(x='a') %}"
            "{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
            "16777216 characters",
        ),
        ("{{ ('a' * 9999).replace('a', 'b' * 9999) }}", "16777216 characters"),
        ("{{ ('a' * 9999) | replace('a', 'b' * 9999) }}", "16777216 characters"),
        ("{{ ('b' * 9999).join(['a'] * 9999) }}", "16777216 characters"),
        ("{{ (['a'] * 9999) | join('b' * 9999) }}", "16777216 characters"),
        ("{% set x = 'a' * 9999999 %}{{ x }}{{ x }}", "16777216 characters"),
        ("{{ strftime_now('%99999999d') }}", "the format '%99999999d'"),
    ],
)
def test_bombs_are_refused_in_time(
    source: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "MAX_STEPS", 10_000)
    start = time.perf_counter()
    with pytest.raises(InvalidRequest, match=f"template makes too much of this .*{message}"):
        render(source)
    assert time.perf_counter() - start < 5


def test_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MAX_RENDER_S", 0.0)
    with pytest.raises(InvalidRequest, match="more than 0 s"):
        render("{{ range(3) }}")


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ raise_exception.__globals__.x }}",
        "{{ ''.translate({}) }}",
        "{{ '{0.__class__.__mro__}'.format(1) }}",
        "{{ xs.append(1) }}",
        "{% set ns = namespace() %}{% set ns.__class__ = 1 %}",
        "{{ namespace(_x=1) }}",
    ],
)
def test_objects_do_not_open(source: str) -> None:
    with pytest.raises(jinja2.exceptions.SecurityError):
        render(f"{source}", xs=[])


@pytest.mark.parametrize(
    "source", ["{% include 'x' %}", "{% import 'x' as x %}", "{{ 'a' | attr('upper') }}"]
)
def test_files_and_refused_filters_are_not_there(source: str) -> None:
    with pytest.raises((jinja2.TemplateError, TypeError)):
        render(source)


def test_recursive_loops_are_refused() -> None:
    with pytest.raises(jinja2.TemplateSyntaxError, match="recursive loops are not supported"):
        render("{% for x in xs recursive %}{{ loop(x) }}{% endfor %}", xs=[])


def test_a_template_can_refuse_a_conversation() -> None:
    with pytest.raises(InvalidRequest, match="refuses this: roles must alternate"):
        render("{{ raise_exception('roles must alternate') }}")


def test_a_template_can_ask_for_the_date() -> None:
    assert render("{{ strftime_now('%Y-%m-%d') }}")[4:8:3] == "--"
