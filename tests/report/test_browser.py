"""The page in a real headless Chromium, without a network."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

from core.sampled import problem, redrawn, walked
from lca_core import Counts, Dense, Distribution, UnitSums, analyses, default_observers
from lca_core.reference import demo_run
from lca_core.report import write_report
from report.page import Page
from report.runs import HOSTILE, diverged_run, huge_run, lost_run, observed_run, polynomial_run

pytestmark = pytest.mark.slow

EVERY_CHART = {
    "loss",
    "gap",
    "bars",
    "since",
    "map",
    "helping",
    "sizes",
    "heroes",
    "turns",
    "peaks",
}
SAMPLES = "loss of the steps' samples"
GENEROUS = 10.0
"""Seconds; a guard against a page that hangs, not a measurement."""


@pytest.fixture(scope="module")
def thirty(browser, tmp_path_factory):
    """Open a report of thirty steps for several tests."""
    path = tmp_path_factory.mktemp("thirty") / "report.html"
    write_report({"demo": demo_run(30)}, path)
    page = Page(browser, path)
    yield page
    assert page.said == []
    page.context.close()


def test_every_chart_shows_the_numbers_of_the_run(opened):
    """All charts are there, and what they draw is what the run holds."""
    run = observed_run(30)
    page = opened({"demo": run})
    assert page.shown() == EVERY_CHART
    x, y = page.trace("loss", "true loss")
    np.testing.assert_array_equal(x, run.iteration)
    np.testing.assert_allclose(y, run.loss("train"), rtol=1e-6)
    _, gap = page.trace("gap", "gap")
    np.testing.assert_allclose(gap.astype(float), np.abs(run.gap("train")), rtol=1e-6)
    total = run.allocation("train").values.sum(axis=0)
    lengths = page.ask("() => document.getElementById('chart-bars').data[0].x")
    np.testing.assert_allclose(lengths, total, rtol=1e-12)
    whiskers = page.ask("() => document.getElementById('chart-bars').data[0].error_x.array")
    np.testing.assert_allclose(whiskers, run.error("train").values, rtol=1e-12)
    cells = page.ask("() => document.getElementById('chart-map').data[0].z.map((r) => [...r])")
    np.testing.assert_allclose(cells, run.allocation("train").values.T, rtol=1e-6)
    most = page.ask("() => document.getElementById('chart-map').data[0].zmax")
    assert most == pytest.approx(np.percentile(np.abs(cells), 99), rel=1e-12)
    _, since = page.trace("since", "fc2")
    np.testing.assert_allclose(since[-1], total[1], rtol=1e-6)
    _, helped = page.trace("helping", "helped")
    counts = run.helping("train", "leaf").helped.sum(axis=1)
    np.testing.assert_allclose(helped[::2], 100 * counts / run.layout.parameters, rtol=1e-6)


def test_choices_change_what_is_drawn(opened):
    """Measure, grouping and layer are chosen by the keyboard's own controls, everywhere at once."""
    run = observed_run(30)
    page = opened({"demo": run})
    page.tab.select_option("#measure", label="\u2003class=1")
    _, loss = page.trace("loss", "true loss")
    np.testing.assert_allclose(loss, run.loss("train/class=1"), rtol=1e-6)
    assert page.ask("() => document.querySelector('.story:not([hidden])').dataset.measure") == "2"
    page.tab.select_option("#measure", label="train")
    page.tab.select_option("#by", "leaf")
    assert page.column(0) == list(run.layout.names)
    page.tab.select_option("#layer", "fc2")
    assert page.column(0) == ["fc2.weight", "fc2.bias"]
    page.tab.select_option("#by", "unit")
    assert page.column(0) == ["fc2[0]", "fc2[1]", "fc2[2]"]
    units = run.allocation("train", "unit").values[:, -3:]
    cells = page.ask("() => document.getElementById('chart-map').data[0].z.map((r) => [...r])")
    np.testing.assert_allclose(cells, units.T, rtol=1e-6)


def test_a_zoom_on_steps_is_one_for_all(opened):
    """Steps typed in, or dragged over one chart, are shown by every chart along steps.

    What resets one, resets them all.
    """
    page = opened({"demo": observed_run(30)})
    reach = "(id) => document.getElementById(id)._fullLayout.xaxis.range"
    page.tab.fill("#from", "5")
    page.tab.fill("#to", "15")
    page.tab.press("#to", "Enter")
    page.tab.dispatch_event("#to", "change")
    assert page.ask(reach, "chart-loss") == page.ask(reach, "chart-map") == [5, 15]
    page.tab.click("#whole")
    assert page.ask(reach, "chart-peaks") == [0, 30]
    page.tab.locator("#chart-loss").scroll_into_view_if_needed()
    box = page.tab.locator("#chart-loss .nsewdrag").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.tab.mouse.move(box["x"] + box["width"] / 3, middle)
    page.tab.mouse.down()
    page.tab.mouse.move(box["x"] + 2 * box["width"] / 3, middle, steps=8)
    page.tab.mouse.up()
    page.tab.wait_for_function("() => lcaReport.state.from === 10 && lcaReport.state.to === 20")
    assert page.ask(reach, "chart-gap") == [10, 20]
    page.tab.locator("#chart-loss .modebar-btn").last.click()  # "Reset axes"
    page.tab.wait_for_function("() => lcaReport.state.from === null")
    assert page.ask(reach, "chart-loss") == page.ask(reach, "chart-map") == [0, 30]
    assert [page.tab.input_value(box) for box in ("#from", "#to")] == ["", ""]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ({"from": "500"}, ["29", ""]),
        ({"from": "61", "to": ""}, ["29", ""]),
        ({"from": "-1000000", "to": "12"}, ["", "12"]),
        ({"from": "4.4", "to": "1e9"}, ["4", ""]),
        ({"from": "-7", "to": "1e9"}, ["", ""]),
        ({"from": "25", "to": "10"}, ["", "10"]),
        ({"to": "10", "from": "25"}, ["25", ""]),
    ],
)
def test_steps_typed_in_are_steps_of_the_run(thirty, typed, shown):
    """Numbers outside of the run become its own, and an end beyond the other one frees that."""
    thirty.tab.click("#whole")
    for end, steps in typed.items():
        thirty.tab.fill(f"#{end}", steps)
        thirty.tab.dispatch_event(f"#{end}", "change")
    boxes = "() => ['from', 'to'].map((end) => document.getElementById(end).value)"
    assert thirty.ask(boxes) == shown
    reach = thirty.ask("() => document.getElementById('chart-map')._fullLayout.xaxis.range")
    assert reach == [int(shown[0] or 0), int(shown[1] or 30)]


def test_a_hover_shows_the_exact_value(opened):
    """The pointer over a bar names the layer, its allocation to six digits and its error."""
    run = observed_run(30)
    page = opened({"demo": run})
    page.ask("() => Plotly.Fx.hover('chart-bars', [{ curveNumber: 0, pointNumber: 0 }])")
    text = page.tab.locator("#chart-bars .hovertext").text_content()
    assert text.startswith("fc1")
    value = f"{run.allocation('train').values.sum(axis=0)[0]:.6g}".replace("-", "−")
    assert value in text


def test_tables_sort_by_click_and_by_keyboard(opened):
    """A heading sorts, again turns the order round, and says so to a screen reader."""
    run = polynomial_run([f"layer{i}" for i in range(12)], steps=2)
    page = opened({"demo": run})
    assert page.column(0)[:3] == ["layer0", "layer1", "layer2"]
    heading = page.tab.locator("#layers-table th button").first
    heading.focus()
    page.tab.keyboard.press("Enter")
    assert page.column(0)[:3] == ["layer0", "layer1", "layer2"]
    page.tab.keyboard.press("Enter")  # the focus stays on the heading
    assert page.column(0)[:3] == ["layer11", "layer10", "layer9"]
    sorts = (
        "() => [...document.querySelectorAll('#layers-table th[aria-sort]')].map((h) => h.ariaSort)"
    )
    assert page.ask(sorts) == ["descending"] + ["none"] * 6
    total = page.ask("() => document.querySelector('#layers-table tfoot').textContent")
    assert total.startswith("total")


def test_tables_sort_by_number(opened):
    """LCA sorts as a number, the most helping first, whatever the letters are."""
    run = observed_run(30)
    page = opened({"demo": run})
    page.tab.select_option("#by", "unit")
    page.tab.locator("#layers-table th button").nth(2).click()
    totals = run.allocation("train", "unit").values.sum(axis=0)
    labels = run.layout.labels("unit")
    assert page.column(0) == [labels[i] for i in np.argsort(totals)]


BACKGROUND = "() => getComputedStyle(document.body).backgroundColor"
INK = "() => document.getElementById('chart-loss').layout.font.color"


def test_dark_follows_the_system(opened):
    """The page and the ink of its charts are as dark as the system, also when it changes."""
    page = opened({"demo": demo_run(5)}, color_scheme="dark")
    dark, pale_ink = page.ask(BACKGROUND), page.ask(INK)
    page.tab.emulate_media(color_scheme="light")
    page.tab.wait_for_function(f"(before) => ({INK})() !== before", arg=pale_ink)
    assert page.ask(BACKGROUND) == "rgb(255, 255, 255)" != dark


def test_dark_and_colours_can_be_chosen(opened):
    """The reader's choice of theme and colours wins over the system and is drawn."""
    page = opened({"demo": demo_run(5)}, color_scheme="light")
    bar = "() => document.getElementById('chart-bars').data[0].marker.color[0]"
    ink, green = page.ask(INK), page.ask(bar)
    page.tab.select_option("#theme", "dark")
    assert page.ask(BACKGROUND) != "rgb(255, 255, 255)"
    assert page.ask(INK) != ink
    page.tab.select_option("#colours", "colour-blind")
    assert page.ask(bar) != green


def test_paper_is_light(opened):
    """What is dark on the screen is printed in dark ink on white, and is dark again after."""
    page = opened({"demo": demo_run(5)}, color_scheme="dark")
    pale = page.ask(INK)
    page.ask("() => window.dispatchEvent(new Event('beforeprint'))")
    assert page.ask(BACKGROUND) == "rgb(255, 255, 255)"
    assert page.ask(INK) != pale
    page.ask("() => window.dispatchEvent(new Event('afterprint'))")
    assert page.ask(INK) == pale


def test_hostile_names_stay_text(opened):
    """Names that are HTML, script or template are read as letters everywhere; nothing runs."""
    run = polynomial_run(HOSTILE, steps=3, measure=HOSTILE[0])
    page = opened({HOSTILE[1]: run, HOSTILE[2]: run})
    assert page.column(0) == list(HOSTILE)
    assert page.tab.locator("h1").inner_text() == f"{HOSTILE[1]} and {HOSTILE[2]}"
    ticks = page.ask(
        "() => [...document.querySelectorAll('#chart-map .ytick text')].map((t) => t.textContent)"
    )
    assert "<b>bold</b>" in ticks
    page.tab.select_option("#run", "1")
    page.ask("() => Plotly.Fx.hover('chart-since', [{ curveNumber: 4, pointNumber: 1 }])")
    hover = page.tab.locator("#chart-since .hovertext").text_content()
    assert HOSTILE[4] in hover
    page.ask("() => Plotly.Fx.hover('chart-bars', [{ curveNumber: 1, pointNumber: 5 }])")
    hover = page.tab.locator("#chart-bars .hovertext").text_content()
    assert hover.startswith(f"{HOSTILE[5]}, {HOSTILE[2]}")
    legend = page.ask(
        "() => [...document.querySelectorAll('#chart-loss .legendtext')].map((t) => t.textContent)"
    )
    assert legend[:2] == [HOSTILE[1], HOSTILE[2]]
    # its own links and pictures are none, and nothing of theirs ran
    found = "() => document.querySelectorAll('svg a, a, img[src=x], b:not(.topic)').length"
    assert page.ask(found) == 0
    assert page.ask("() => window.hacked") is None


def test_the_browser_itself_forbids_more(browser, tmp_path):
    """Even a script that found its way into the page would not run: only two hashes may."""
    write_report({"demo": demo_run(3)}, tmp_path / "report.html")
    page = Page(browser, tmp_path / "report.html")
    page.ask("""() => {
        const script = document.createElement("script");
        script.textContent = "window.hacked = 1";
        document.head.append(script);
        document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.hacked = 1'>");
    }""")
    page.tab.wait_for_timeout(200)
    assert page.ask("() => window.hacked") is None
    assert any("Content Security Policy" in text for text in page.said)
    page.context.close()


def test_runs_are_set_side_by_side(opened):
    """Every run has its bar and its loss; differences beyond the error have a star."""
    runs = {f"seed {seed}": observed_run(20, seed) for seed in range(3)}
    page = opened(runs)
    names = page.ask("() => document.getElementById('chart-bars').data.map((one) => one.name)")
    assert names == list(runs)
    for name, run in runs.items():
        _, loss = page.trace("loss", name)
        np.testing.assert_allclose(loss, run.loss("train"), rtol=1e-6)
    found = analyses.compare(runs, "train")
    beyond = np.abs(found.difference[1]) > found.difference_error[1]
    shown = page.column(4, "comparison-table")
    assert [text.endswith("*") for text in shown] == beyond.tolist()
    page.tab.select_option("#run", "2")
    _, since = page.trace("since", "fc1")
    np.testing.assert_allclose(
        since[-1], runs["seed 2"].allocation("train").values[:, 0].sum(), rtol=1e-6
    )


def test_a_run_that_diverged_costs_the_others_no_digit(opened):
    """Beside it, sums of a healthy run are as exact as their ±; its own are powers of ten."""
    runs = {"healthy": demo_run(30), "diverged": diverged_run(demo_run(30, 1))}
    page = opened(runs)
    healthy, diverged, _ = (page.column(i, "comparison-table") for i in (1, 2, 3))
    found = analyses.compare(runs, "train")
    for text, total, error in zip(healthy, found.total[0], found.error[0], strict=True):
        assert float(text.split(" ±")[0].replace("−", "-")) == pytest.approx(total, abs=error)
    assert all(re.match(r"−?\d\.\d+×10¹[⁵⁶] ±", text) for text in diverged)
    page.tab.select_option("#run", "1")
    assert all(re.fullmatch(r"−?\d\.\d+×10¹[⁵⁶]", text) for text in page.column(2))


@pytest.mark.parametrize("width", [390, 1280])
def test_five_runs_stay_on_the_page(opened, width):
    """A table of five runs fits the screen, or scrolls within itself beside the names of layers."""
    runs = {f"seed {seed}": demo_run(5, seed) for seed in range(5)}
    page = opened(runs, viewport={"width": width, "height": 844})
    assert page.ask("() => document.documentElement.scrollWidth") == width
    code = """() => {
        const wide = document.querySelector("#side-by-side .wide"), name = wide.querySelector("tbody th");
        wide.scrollLeft = 1e6;
        return [wide.scrollLeft, name.getBoundingClientRect().left - wide.getBoundingClientRect().left];
    }"""  # noqa: E501
    scrolled, name = page.ask(code)
    assert (scrolled > 0) == (width == 390)
    assert name == 0


@pytest.mark.parametrize("steps", [0, 1])
def test_hardly_any_steps(opened, steps):
    """A run of no step or one step, in which nothing turned, has a story and no broken chart."""
    page = opened({"demo": observed_run(steps)})
    assert page.tab.locator(".story:not([hidden]) .first").inner_text()
    assert ("loss" in page.shown()) == (steps > 0)
    if steps:  # a line has no length here: a dot stands for the noise floor
        floor = "() => document.getElementById('chart-gap').data[0].marker.size"
        assert page.ask(floor)[0] > 0


def test_a_run_of_no_steps_among_others(opened):
    """Chosen beside a longer run, it says in the place of the loss that there is none of it."""
    page = opened({"long": demo_run(9), "empty": demo_run(0)})
    page.tab.select_option("#run", "1")
    assert page.shown() == {"loss"}
    told = page.tab.locator("figure:has(#chart-loss) .sentence").inner_text()
    assert told.startswith("empty, train: no steps recorded, so only the loss that it began with")
    assert len(page.trace("loss", "long")[0]) == 10
    assert len(page.trace("loss", "empty")[0]) == 1


def test_lost_steps_are_marked(opened):
    """A step that is not finite is a hole in the loss, a cross below it, and in no sum.

    On the map it is grey, which is no colour of the scale, and the legend says so.
    """
    run = observed_run(10)
    page = opened({"demo": lost_run(run, 4)})
    grey = page.ask("() => Array.from(document.getElementById('chart-map').data[1].z[0])")
    assert [step for step, one in enumerate(grey, start=1) if one == 1] == [5]
    legend = page.tab.locator("#chart-map .legendtext").all_text_contents()
    assert legend == ["not finite"]
    assert "Grey: not finite." in page.told("map")
    assert page.trace("gap", "not finite")[0].tolist() == [5]
    assert np.isnan(page.trace("loss", "true loss")[1]).nonzero()[0].tolist() == [5]
    total = run.allocation("train").values[[0, 1, 2, 3, 5, 6, 7, 8, 9]].sum(axis=0)
    np.testing.assert_allclose(page.trace("since", "fc1")[1][-1], total[0], rtol=1e-6)


def test_a_run_that_was_lost_claims_nothing(opened):
    """Of a run without a finite step, the first loss and the lost steps are drawn, and no sum."""
    run = lost_run(demo_run(10))
    page = opened({"demo": run})
    assert page.shown() == {"loss", "gap"}
    assert page.tab.locator("#chart-loss .scatterlayer .point").count() == 2  # L_0, and booked
    assert page.trace("loss", "true loss")[1][0] == pytest.approx(run.loss("train")[0], rel=1e-6)
    x, y = page.trace("gap", "not finite")
    assert x.tolist() == list(range(1, 11))
    assert np.isfinite(y.astype(float)).all()
    assert page.tab.locator("#chart-gap .legendtext").all_text_contents() == ["not finite"]
    assert page.tab.locator("#chart-gap .ytick text").count() == 0
    assert "no allocation is known" in page.told("loss")
    text = page.tab.locator("main").inner_text()
    assert "sum to 0" not in text
    assert "is zero" not in text


def test_of_a_lost_run_nothing_is_called_known(opened):
    """Where no step is known, no gap is called known, and no sum of allocations is named."""
    page = opened({"demo": lost_run(observed_run(10))})
    told = page.told("gap")
    assert "Nothing of it is known: 0 of 10 steps closed" in told
    everything = page.ask("() => document.querySelector('main').outerHTML")
    assert "known, not estimated" not in everything
    assert "sum to 0" not in everything
    known = opened({"demo": demo_run(10)})
    assert "It is known, not estimated. All 10 steps closed" in known.told("gap")


def test_a_run_that_was_lost_is_in_no_mean(opened):
    """Bars of many runs are the mean of those that are known; the other one has dashes."""
    runs = {f"seed {seed}": demo_run(10, seed) for seed in range(5)}
    page = opened({**runs, "lost": lost_run(demo_run(10))})
    mean = np.mean([run.allocation("train").values.sum(axis=0) for run in runs.values()], axis=0)
    np.testing.assert_allclose(page.trace("bars", "mean of 5 runs")[0], mean, rtol=1e-12)
    assert "lost is left out" in page.told("bars")
    heads = page.tab.locator("#comparison-table thead th").all_inner_texts()
    assert set(page.column(heads.index("lost"), "comparison-table")) == {"–"}
    assert heads[-1] == "mean of 5 runs"


def test_samples_are_called_samples(opened):
    """Of a redrawn measure the ± is of sampling, the loss the samples', and there are no gaps."""
    page = opened({"demo": walked({"train": redrawn(), "val": problem()})})
    assert page.tab.locator("#chart-loss .legendtext").first.text_content() == SAMPLES
    assert "Whiskers are the 95 % of sampling." in page.told("bars")
    assert "the 95 % of sampling (train) or the ± of the integral (val)" in page.told("carry-bars")
    note = page.tab.locator("#layers-note")
    assert note.inner_text().endswith("± of the total: 95 % of sampling.")
    page.tab.select_option("#measure", label="val")
    assert page.tab.locator("#chart-loss .legendtext").first.text_content() == "true loss"
    assert note.inner_text().endswith("± of the total: the sum of all gaps, which is known.")


def test_the_lead_claims_the_truth_of_no_estimate(opened):
    """That everything adds up to the true change is said without a rider of full data alone."""
    exact = opened({"demo": demo_run(3)}).tab.locator(".lead").inner_text()
    assert exact.endswith("everything adds up to the true change of the loss.")
    sampled = opened({"demo": walked({"train": redrawn()})}).tab.locator(".lead").inner_text()
    assert sampled.endswith("fresh examples at every step, to an estimate of it.")


def test_looks_stand_out_from_steps_passed_over(opened):
    """Where one of four steps was looked at, its shares have a dot in the middle of their bar.

    The others are grey to the top, and the words are of looks, which stand for four steps.
    """
    run = walked({"train": redrawn(every=4)}, observers=[Counts(), Distribution()])
    page = opened({"demo": run})
    looked = run.looked_at("train")
    x, _ = page.trace("helping", "helped /")
    np.testing.assert_array_equal(x, run.iteration[1:] - 0.5)
    code = """() => document.getElementById("chart-helping").data
        .find((one) => one.name.startsWith("helped /")).marker.size"""
    alone = looked & ~np.roll(looked, 1) & ~np.roll(looked, -1)
    assert alone.any()
    np.testing.assert_array_equal(np.array(page.ask(code)) > 0, alone)
    _, grey = page.trace("helping", "not looked at")
    np.testing.assert_array_equal(grey, np.repeat(np.where(looked, 0, 100), 2))
    assert "Grey: not looked at." in page.told("helping")
    assert page.told("sizes").startswith("Allocations of single parameters at single looks")
    for chart in ("sizes", "map"):
        assert "A look stands for 4 steps." in page.told(chart)
    title = "() => document.getElementById('chart-sizes').layout.yaxis.title.text"
    assert page.ask(title) == "parameters × looks"


def test_the_line_of_helping_lies_on_its_bars(thirty):
    """Every point of it is in the middle of its step's bar, at which the pointer names the step."""
    x, _ = thirty.trace("helping", "helped /")
    np.testing.assert_array_equal(x, np.arange(30) + 0.5)
    thirty.ask("() => Plotly.Fx.hover('chart-helping', [{ curveNumber: 3, pointNumber: 6 }])")
    text = thirty.tab.locator("#chart-helping .hovertext").text_content()
    assert text.startswith("step 7: ")


def test_steps_are_those_of_the_training(opened):
    """Where several steps are measured at once, words count the training's steps, not these."""
    segments = polynomial_run(["fc"], 43, every=5)
    assert segments.steps == 9
    page = opened({"every5": segments, "single": polynomial_run(["fc"], 20)})
    span = "over 43 steps, measured 9 times"
    assert f"{span}; the allocations" in page.told("loss")
    assert f"summed {span}" in page.tab.locator("#layers-table caption").inner_text()
    assert "43 steps, measured 9 times" in page.told("map")
    gaps = page.told("gap")
    assert "left over at each segment: " in gaps
    assert "All 9 segments closed; " in gaps
    assert " gradients a segment." in gaps
    assert "every5: 43 steps, measured 9 times" in page.tab.locator("main").inner_text()
    assert "over 20 to 43 steps, each run over its own" in page.told("bars")


def test_runs_without_a_common_measure(opened):
    """What one run alone has is drawn alone, and the page says so."""
    page = opened({"one": demo_run(3), "other": polynomial_run(["fc"], 3, measure="val")})
    note = page.tab.locator("#comparison-note")
    assert note.inner_text().startswith("No other run has the measure train")
    assert page.told("loss").startswith("one, train:")
    page.tab.select_option("#run", "1")
    assert note.inner_text().startswith("No other run has the measure val")


def test_a_mean_longer_than_the_run_is_explained(opened):
    """Steps between turns are pooled: a mean beyond the run's length is said to be one."""
    run = observed_run(30)
    between = analyses.steps_between_turns(run, "train")
    assert (np.nan_to_num(between.motion, posinf=0) > 30).any()
    assert "pooled over parameters" in opened({"demo": run}).told("turns")


def test_without_javascript_no_menu_is_empty(browser, tmp_path):
    """Without JavaScript every story can be read, and nothing is shown that it would fill."""
    run = observed_run(5)
    write_report({"demo": run}, tmp_path / "report.html")
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto((tmp_path / "report.html").as_uri())
    for empty in ("#controls", ".dress", ".charts"):
        assert not tab.locator(empty).first.is_visible()
    stories = tab.locator(".story")
    assert stories.count() == len(run.measures)
    assert all(one.is_visible() for one in stories.all())
    context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_as_wide_as_the_screen(opened, width):
    """Nothing sticks out to the right, on a phone neither."""
    page = opened({"demo": observed_run(20)}, viewport={"width": width, "height": 844})
    assert page.ask("() => document.documentElement.scrollWidth") == width


@pytest.mark.alone
def test_ten_thousand_steps_of_a_hundred_layers(browser, tmp_path):
    """The file stays under 8 MB, and the page opens and answers."""
    run = huge_run(10_000, 100)
    path = tmp_path / "report.html"
    write_report({"huge": run}, path)
    assert path.stat().st_size < 8e6
    began = time.monotonic()
    page = Page(browser, path)
    assert time.monotonic() - began < GENEROUS
    began = time.monotonic()
    page.tab.select_option("#layer", run.layout.names[7])
    assert page.column(0) == [run.layout.names[7]]
    page.tab.select_option("#layer", "")
    assert time.monotonic() - began < GENEROUS
    cells = page.ask("() => document.getElementById('chart-map').data[0].z.map((r) => [...r])")
    assert np.abs(cells).max() == np.float32(np.abs(run.allocation("train").values).max())
    assert page.said == []
    page.context.close()


def test_the_film_plays(opened):
    """A dense run has a player; the browser itself decodes what is in it."""
    observers = [*default_observers(demo_run(0).layout), Dense()]
    page = opened({"demo": demo_run(8, observers=observers)})
    video = page.tab.locator("video")
    assert video.count() == 1
    assert video.get_attribute("aria-label") == "Film of demo, train"
    page.tab.wait_for_function("() => document.querySelector('video').readyState >= 1")
    assert page.ask("() => document.querySelector('video').videoWidth") == 960
    assert page.ask("() => document.querySelector('video').duration") > 0


def test_runs_of_different_length_are_drawn_to_their_own_ends(opened):
    """Whichever run is chosen, the chart of all losses reaches the end of the longest.

    The charts of one run end with it; where runs are summed side by side, it is said over what.
    """
    runs = {"short": observed_run(10), "long": observed_run(30, 1)}
    page = opened(runs)
    reach = "(id) => document.getElementById(id)._fullLayout.xaxis.range"
    sentence = (
        "(id) => document.getElementById(id).closest('figure').querySelector('.sentence').innerText"
    )
    for chosen, steps in ((0, 10), (1, 30)):
        page.tab.select_option("#run", str(chosen))
        assert page.ask(reach, "chart-loss") == [0, 30]
        assert page.ask(reach, "chart-map") == [0, steps]
        for id_ in ("chart-bars", "chart-loss"):
            assert "10 to 30 steps, each run over its own" in page.ask(sentence, id_)
    assert "10 to 30 steps" in page.tab.locator("#comparison-note").inner_text()
    page.tab.select_option("#run", "0")
    page.ask("() => Plotly.relayout('chart-loss', {'xaxis.range[0]': 15, 'xaxis.range[1]': 25})")
    page.tab.wait_for_function("() => lcaReport.state.from === 15 && lcaReport.state.to === 25")
    page.ask("() => Plotly.relayout('chart-map', {'xaxis.range[0]': 0, 'xaxis.range[1]': 10})")
    page.tab.wait_for_function("() => lcaReport.state.from === null")
    assert page.ask(reach, "chart-loss") == [0, 30]
    page.tab.select_option("#run", "1")
    page.ask("() => Plotly.relayout('chart-map', {'xaxis.range[0]': 5, 'xaxis.range[1]': 25})")
    page.tab.wait_for_function("() => lcaReport.state.from === 5")
    page.tab.locator("#chart-map .nsewdrag").first.dblclick()
    page.tab.wait_for_function("() => lcaReport.state.from === null")
    assert page.ask(reach, "chart-map") == [0, 30]  # not 10, with which it began


def test_where_nobody_looked_no_sum_is_drawn(opened):
    """Sums, maps and bars are left out, and the tables of layers and units have dashes."""
    run = walked({"train": redrawn(every=100)}, observers=[Counts(), UnitSums()])
    assert not run.looked_at("train").any()
    page = opened({"demo": run})
    assert page.shown() == {"loss"}
    for by in ("layer", "unit"):
        page.tab.select_option("#by", by)
        assert set(page.column(2)) == {"–"}
    caption = page.tab.locator("#layers-table caption").inner_text()
    assert "no step of this measure was looked at" in caption
