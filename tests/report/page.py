"""A report that is open in a browser, and what can be asked of it."""

from __future__ import annotations

import numpy as np


class Page:
    """An open report, and what the browser said and asked for meanwhile."""

    def __init__(self, browser, path, **settings):
        settings = {"viewport": {"width": 1280, "height": 900}, **settings}
        self.context = browser.new_context(offline=True, **settings)
        self.tab = self.context.new_page()
        self.said, self.asked = [], []
        self.tab.on("console", lambda message: self.said.append(message.text))
        self.tab.on("pageerror", lambda error: self.said.append(str(error)))
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto(path.as_uri())
        self.tab.wait_for_selector("html[data-ready]")

    def ask(self, code, argument=None):
        """Return what JavaScript says."""
        return self.tab.evaluate(code, argument)

    def trace(self, chart, name):
        """Return x and y of the trace whose name begins so."""
        code = """([chart, name]) => {
            const found = document.getElementById(`chart-${chart}`).data
                .find((one) => one.name.startsWith(name));
            return [Array.from(found.x), Array.from(found.y)];
        }"""
        return [np.array(one) for one in self.ask(code, [chart, name])]

    def shown(self):
        """Return which charts can be seen."""
        code = """() => [...document.querySelectorAll(".chart.js-plotly-plot")]
            .filter((one) => one.offsetParent !== null && one.querySelector(".main-svg"))
            .map((one) => one.id.replace("chart-", ""))"""
        return set(self.ask(code))

    def told(self, chart):
        """Return the sentence above a chart."""
        return self.tab.locator(f"figure:has(#chart-{chart}) .sentence").inner_text()

    def column(self, i, table="layers-table"):
        """Return the text of a column of a table's body."""
        code = """([table, i]) => [...document.querySelectorAll(`#${table} tbody tr`)]
            .map((row) => row.children[i].textContent)"""
        return self.ask(code, [table, i])
