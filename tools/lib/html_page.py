"""Self-contained HTML pages: style sheet, tables, and the script that shows the values under the pointer. A page
fetches nothing, follows the reader's light or dark setting, and suits phones, wide screens and printers."""

import chart_svg
from chart_svg import escape

STYLE = """
:root { color-scheme: light dark; %s }
@media (prefers-color-scheme: dark) { :root { %s } }
""" % (chart_svg.variables(chart_svg.LIGHT), chart_svg.variables(chart_svg.DARK)) + chart_svg.STYLE + """
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 1380px; padding: 0 clamp(14px, 3vw, 40px) 60px; background: var(--page); color: var(--text);
  font: 16px/1.5 """ + chart_svg.FONTS + """; }
header { padding: clamp(24px, 5vw, 56px) 0 20px; }
h1 { font-size: clamp(28px, 4vw, 40px); line-height: 1.15; font-weight: 650; letter-spacing: -0.02em; margin: 0; }
header p { margin: 8px 0 0; color: var(--soft); max-width: 70ch; }
h2 { font-size: 22px; font-weight: 620; letter-spacing: -0.01em; margin: 44px 0 14px; }
h3 { font-size: 15px; font-weight: 620; margin: 0; }
h3 small { font-size: 13px; font-weight: 400; color: var(--soft); margin-left: 4px; }
.pictures { display: grid; gap: 16px; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 370px), 1fr)); }
figure { margin: 0; padding: 14px 16px 12px; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  min-width: 0; break-inside: avoid; }
figcaption { display: flex; justify-content: space-between; gap: 8px; margin-bottom: 8px; }
figcaption output { font-size: 13px; color: var(--soft); white-space: nowrap; font-variant-numeric: tabular-nums; }
figure > svg { display: block; width: 100%; height: auto; touch-action: pan-y; }
.chart .guide { stroke: var(--soft); stroke-width: 1; visibility: hidden; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 3px 16px; margin: 6px 0 0; padding: 0; font-size: 13px;
  line-height: 1.4; overflow-wrap: anywhere; }
.legend li { min-width: 0; padding-left: 28px; text-indent: -28px; }
.legend.keys { color: var(--soft); }
.legend strong, th strong { font-size: 12px; font-weight: 620; padding: 0 6px; border: 1px solid var(--strong);
  border-radius: 8px; }
.legend b { font-weight: 600; font-variant-numeric: tabular-nums; }
.swatch { width: 22px; height: 10px; margin-right: 6px; }
.note { margin: 6px 0 0; font-size: 13px; line-height: 1.4; color: var(--soft); }
.table { width: fit-content; max-width: 100%; overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 14px; text-align: right; border-top: 1px solid var(--line); vertical-align: top; }
th { white-space: nowrap; }
th:first-child { text-align: left; font-weight: 400; color: var(--soft); position: sticky; left: 0; background: var(--card); }
thead th { border-top: 0; font-weight: 620; color: var(--text); white-space: normal; vertical-align: bottom; }
td.same { text-align: left; }
thead th:first-child { font-weight: 620; color: var(--text); }
tr.section th { padding-top: 16px; font-weight: 620; color: var(--text); }
tr.differs td { color: var(--text); font-weight: 620; }
details { background: var(--card); border: 1px solid var(--line); border-radius: 10px; margin: 0 0 8px; }
summary { padding: 9px 14px; cursor: pointer; font-size: 14px; }
summary small { color: var(--soft); font-size: 13px; margin-left: 8px; font-variant-numeric: tabular-nums; }
details.fitting { width: fit-content; max-width: 100%; }
details > div.table { border: 0; border-top: 1px solid var(--line); border-radius: 0 0 10px 10px; }
pre { margin: 0; padding: 12px 16px 16px; border-top: 1px solid var(--line); white-space: pre-wrap; overflow-wrap: anywhere;
  font: 13.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
h4 { font-size: 15px; font-weight: 620; margin: 22px 0 8px; }
footer { margin-top: 48px; font-size: 13px; color: var(--soft); }
@media (max-width: 480px) { th, td { padding: 6px 8px; } th { white-space: normal; }
  th:first-child { min-width: 88px; } figure { padding: 12px 12px 10px; } h2 { margin-top: 34px; } }
@media print { body { max-width: none; } .pictures { grid-template-columns: 1fr 1fr; } }
"""

# Under the pointer: a guide line, the place on the horizontal axis, and in the legend the value of each line there.
SCRIPT = """
for (const svg of document.querySelectorAll('svg[data-x]')) {
  const axis = (text) => { const [log, a, b] = text.split(' ').map(Number); return log
      ? (t) => Math.exp(Math.log(a) + t * Math.log(b / a)) : (t) => a + t * (b - a); };
  const xOf = axis(svg.dataset.x), yOf = axis(svg.dataset.y);
  const [left, right, top, bottom] = svg.dataset.box.split(' ').map(Number);
  const figure = svg.closest('figure'), place = figure.querySelector('output'), guide = svg.querySelector('.guide');
  const values = figure.querySelectorAll('.value');
  const name = svg.querySelector('.name').textContent.split(' ')[0];
  const show = (v) => v === 0 ? '0' : Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3 ? v.toExponential(2)
      : Number(v.toPrecision(4)).toString();
  const lines = [...svg.querySelectorAll('polyline')].map((line) => ({ entry: Number(line.dataset.entry),
    points: line.getAttribute('points').split(' ').map((pair) => pair.split(',').map(Number)) }));
  const leave = () => { guide.style.visibility = 'hidden'; place.textContent = ''; values.forEach((v) => v.textContent = ''); };
  svg.addEventListener('pointermove', (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    if (x < left || x > right) return leave();
    guide.setAttribute('x1', x); guide.setAttribute('x2', x); guide.style.visibility = 'visible';
    const at = xOf((x - left) / (right - left));
    place.textContent = name + ' ' + show(Math.abs(at) >= 20 ? Math.round(at) : at);
    const told = [...values].map(() => []);
    for (const { entry, points } of lines) {
      const near = points.reduce((a, b) => Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a);
      if (Math.abs(near[0] - x) < 30) told[entry].push(show(yOf((bottom - near[1]) / (bottom - top))));
    }
    told.forEach((texts, i) => values[i].textContent = texts.join(' | '));
  });
  svg.addEventListener('pointerleave', leave);
}
"""


def page(title, lead, body, footer=""):
    return ('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>%s</title>\n<style>%s</style>\n'
            '</head>\n<body>\n<header>\n<h1>%s</h1>\n<p>%s</p>\n</header>\n<main>\n%s\n</main>\n<footer>%s</footer>\n'
            '<script>%s</script>\n</body>\n</html>\n'
            % (escape(title), STYLE, escape(title), escape(lead), body, escape(footer), SCRIPT))


def section(title, *parts):
    """A heading and its content; nothing if there is no content."""
    content = "\n".join(part for part in parts if part)
    return '<section>\n<h2>%s</h2>\n%s\n</section>' % (escape(title), content) if content else ""


def pictures(figures):
    shown = [figure for figure in figures if figure]
    return '<div class="pictures">\n%s\n</div>' % "\n".join(shown) if shown else ""


def table(header, rows, differs=(), praised=()):
    """Texts; the first cell of a row is its name. A row of one cell is a heading, a cell beside a name alone holds for
    all columns. `differs`: numbers of rows to stress; `praised`: of columns to call the best."""
    names = ["<th>%s%s</th>" % (escape(name), " <strong>best</strong>" if number in praised else "")
             for number, name in enumerate(header)]
    out = ['<div class="table"><table>', "<thead><tr>%s</tr></thead>" % "".join(names), "<tbody>"]
    for number, row in enumerate(rows):
        if len(row) == 1:
            out.append('<tr class="section"><th colspan="%d">%s</th></tr>' % (len(header), escape(row[0])))
        elif len(row) == 2 and len(header) > 2:
            out.append('<tr><th>%s</th><td class="same" colspan="%d">%s</td></tr>'
                       % (escape(row[0]), len(header) - 1, _cell(row[1])))
        else:
            out.append("<tr%s><th>%s</th>%s</tr>" % (' class="differs"' if number in differs else "", escape(row[0]),
                                                  "".join("<td>%s</td>" % _cell(cell) for cell in row[1:])))
    return "\n".join(out + ["</tbody></table></div>"])


def _cell(text):
    """Allows a line break behind each slash of a path."""
    return escape(text).replace("/", "/<wbr>")


def details(summary, small, content, opened=False, fitting=False):
    """Content that a click shows. `fitting`: as wide as the content, not as the page."""
    return '<details%s%s><summary>%s<small>%s</small></summary>%s</details>' % (
        ' class="fitting"' if fitting else "", " open" if opened else "", escape(summary), escape(small), content)


def preformatted(text):
    return "<pre>%s</pre>" % escape(text)
