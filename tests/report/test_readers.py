"""The page for those who print it, go through it by keyboard, or have it read to them."""

from __future__ import annotations

import re

import pytest

from lca_core import Dense, default_observers
from lca_core.reference import demo_run
from report.runs import observed_run, polynomial_run

pytestmark = pytest.mark.slow

PAPER = {"width": 718, "height": 1000}
"""A4 within margins of a centimetre, in the pixels of a style sheet."""

LEAST = 3.0
"""The contrast that WCAG 2.2 asks of what is no text (1.4.11)."""


def printed(page):
    """Turn an open page into what the printer gets."""
    page.tab.emulate_media(media="print")
    page.ask("() => window.dispatchEvent(new Event('beforeprint'))")


def contrast(one, other):
    """Return the contrast of two colours as a browser writes them."""
    high, low = sorted(map(luminance, (one, other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour):
    """Return how light an opaque colour is, from 0 to 1, as WCAG has it."""
    red, green, blue, *rest = (float(one) for one in re.findall(r"[\d.]+", colour))
    assert rest in ([], [1.0])
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (red / 255, green / 255, blue / 255)
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_contrast_is_that_of_wcag():
    """The measure of these tests is right: black on white is 21, its known greys are 3 and 4.5."""
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21)
    assert contrast("rgb(148, 148, 148)", "rgb(255, 255, 255)") == pytest.approx(3.03, abs=0.01)
    assert contrast("rgb(255, 255, 255)", "rgb(118, 118, 118)") == pytest.approx(4.54, abs=0.01)


def focused(page):
    """Return everything that Tab comes to, with its ring."""
    code = """() => {
        const one = document.activeElement, { outlineColor, outlineWidth, outlineStyle } = getComputedStyle(one);
        return one === document.body ? null
            : { name: one.getAttribute("aria-label") ?? one.id, on: one.className, outlineColor, outlineWidth, outlineStyle };
    }"""  # noqa: E501
    found = []
    page.tab.keyboard.press("Tab")
    while (one := page.ask(code)) is not None:
        found.append(one)
        page.tab.keyboard.press("Tab")
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_focus_can_be_seen(opened, scheme):
    """Whatever Tab comes to, buttons of charts too, has a ring that stands out from the page."""
    page = opened({f"seed {seed}": observed_run(5, seed) for seed in (0, 1)}, color_scheme=scheme)
    ground = page.ask("() => getComputedStyle(document.body).backgroundColor")
    found = focused(page)
    assert {"theme", "run", "From step", "whole", "Table of runs"} <= {one["name"] for one in found}
    assert any(one["on"] == "modebar-btn" for one in found)
    for one in found:
        assert contrast(one["outlineColor"], ground) >= LEAST, one
        assert (one["outlineStyle"], one["outlineWidth"]) == ("solid", "2px"), one


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_edges_of_controls_can_be_seen(opened, scheme):
    """Menus, boxes and buttons have edges that stand out from the page."""
    page = opened({"demo": demo_run(3)}, color_scheme=scheme)
    ground = page.ask("() => getComputedStyle(document.body).backgroundColor")
    for one in ("#theme", "#from", "#whole"):
        edge = page.ask(f"() => getComputedStyle(document.querySelector('{one}')).borderTopColor")
        assert contrast(edge, ground) >= LEAST, one


def test_charts_are_pictures_beside_their_buttons(opened):
    """The picture of a chart says what it shows, holds no button, and the buttons say whose."""
    page = opened({"demo": observed_run(10)})
    page.tab.select_option("#measure", label="\u2003class=1")  # drawn anew, spoken anew
    assert page.tab.locator("[role=img] button, [aria-hidden=true] button").count() == 0
    for name in page.shown():
        chart = page.tab.locator(f"#chart-{name}")
        figure = chart.locator("xpath=ancestor::figure")
        title, sentence = (
            figure.locator("h3").inner_text(),
            figure.locator(".sentence").inner_text(),
        )
        pictures = chart.locator("[role=img]:not(button *)")
        assert pictures.count() == 1
        assert pictures.get_attribute("aria-label") == f"Chart: {title}. {sentence}"
        labels = [one.get_attribute("aria-label") for one in chart.get_by_role("button").all()]
        assert labels == [f"Download plot as a PNG: {title}", f"Reset axes: {title}"]


def test_no_tab_stop_is_empty(opened):
    """Where runs share no layers there is no table of them, and nothing to come to by Tab."""
    page = opened({"one": demo_run(3), "other": polynomial_run(["fc"], 3)})
    assert page.tab.locator("#comparison-note").is_visible()
    assert "Table of runs" not in {one["name"] for one in focused(page)}


def test_motion_can_be_reduced(opened):
    """Nothing fades for readers whose system asks for no motion, the charts' buttons neither."""
    moving = """() => [...document.querySelectorAll("*")].filter((one) =>
        getComputedStyle(one).transitionDuration !== "0s").map((one) => one.className)"""
    assert opened({"demo": demo_run(3)}, reduced_motion="reduce").ask(moving) == []


def test_paper_has_every_column(opened):
    """Six runs side by side are printed whole: columns beyond the paper's width follow below.

    On the screen it is one table, before and after.
    """
    name = "out/experiments/adam-learning-rate-0.001/seed"
    page = opened({f"{name}{seed}": observed_run(10, seed) for seed in range(6)}, viewport=PAPER)
    tables = page.tab.locator("#side-by-side table")
    heads = page.tab.locator("#comparison-table thead th").all_inner_texts()
    assert (len(heads), heads[-1]) == (13, "mean of 6 runs")
    page.tab.locator("#comparison-table th button").nth(1).click()
    order = page.column(0, "comparison-table")
    printed(page)
    shown = [one for one in tables.all() if one.is_visible()]
    parts = [one.locator("thead th").all_inner_texts() for one in shown]
    assert [head for part in parts for head in part[1:]] == heads[1:]
    for one in shown:
        assert one.locator("tbody th").all_inner_texts() == order
    right = """() => Math.max(...[...document.querySelectorAll("table *")]
        .map((one) => one.getBoundingClientRect().right))"""
    assert page.ask(right) <= PAPER["width"]
    page.tab.emulate_media(media="screen")
    page.ask("() => window.dispatchEvent(new Event('afterprint'))")
    assert tables.count() == 1
    assert tables.first.is_visible()
    assert page.tab.locator("#comparison-table thead th").all_inner_texts() == heads


def test_paper_has_no_empty_film(opened):
    """A film is no blank box on paper: its place says where it plays."""
    observers = [*default_observers(demo_run(0).layout), Dense()]
    page = opened({"demo": demo_run(4, observers=observers)})
    plays = page.tab.get_by_text("The film plays in the page")
    assert page.tab.locator("video").is_visible()
    assert not plays.is_visible()
    printed(page)
    assert not page.tab.locator("video").is_visible()
    assert plays.is_visible()
