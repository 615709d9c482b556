"""The report: one HTML file with story, charts and tables; needs plotly and Jinja2."""

from lca_core.report.write import write_report as write_report
