// Small charts in SVG; each stands beside a table or says its numbers in its label.
function svg(width, height, label, ...children) {
  return el('svg', {viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label, width: '100%'}, ...children);
}

function ticks(low, high, most = 5) {
  const raw = (high - low) / most || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(m => m * power).find(s => s >= raw);
  const found = [];
  for (let x = Math.ceil(low / step) * step; x <= high + step / 1e6; x += step) found.push(Number(x.toPrecision(10)));
  return found;
}

// One line a series over epochs.
function lines(series, label, height = 230) {
  const all = series.flatMap(s => s.points), width = 540, left = 58, right = 14, top = 12, bottom = 30;
  const xs = all.map(p => p[0]), ys = all.map(p => p[1]);
  let [low, high] = [Math.min(...ys), Math.max(...ys)];
  if (low === high) { low -= Math.abs(low) / 10 || 0.1; high += Math.abs(high) / 10 || 0.1; }
  const first = Math.min(...xs), last = Math.max(...xs, first + 1);
  const x = v => left + (v - first) / (last - first) * (width - left - right);
  const y = v => top + (high - v) / (high - low) * (height - top - bottom);
  return svg(width, height, label,
    ticks(low, high, 4).map(t => el('g', {}, el('line', {class: 'axis', x1: left, x2: width - right, y1: y(t), y2: y(t)}),
      el('text', {x: left - 8, y: y(t) + 4, 'text-anchor': 'end'}, t))),
    ticks(first, last, 6).filter(Number.isInteger).map(t => el('text', {x: x(t), y: height - 8, 'text-anchor': 'middle'}, t)),
    series.map((s, n) => el('polyline', {points: s.points.map(p => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(' '), fill: 'none',
      stroke: colour(n), 'stroke-width': 2, 'stroke-linejoin': 'round', 'stroke-dasharray': n ? '6 3' : null})),
    series.map((s, n) => s.points.length < 40 && s.points.map(p => el('circle', {cx: x(p[0]), cy: y(p[1]), r: 2.500, fill: colour(n)}))));
}

// A dot with its interval for each of a few figures, on one scale.
function dots(entries, low, high, label, zero = null) {
  const width = 250, height = 12 + 14 * (entries.length - 1) + 12, x = v => 8 + (v - low) / (high - low || 1) * (width - 16);
  return el('svg', {viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': label},
    zero !== null && el('line', {class: 'zero', x1: x(zero), x2: x(zero), y1: 0, y2: height}),
    entries.map(({interval, tone, hollow}, n) => {
      const y = 12 + 14 * n;
      return el('g', {}, el('line', {x1: x(interval.low), x2: x(interval.high), y1: y, y2: y, stroke: tone, 'stroke-width': 3, 'stroke-linecap': 'round', opacity: 0.45}),
        el('circle', {cx: x(interval.mean), cy: y, r: 4.500, fill: hollow ? 'var(--panel)' : tone, stroke: tone, 'stroke-width': 2}));
    }));
}

// How strongly something is liked (above 1) or avoided (below), as a bar.
function liftRow(entry) {
  const less = entry.lift < 1, size = Math.min(1, Math.abs(Math.log2(Math.max(entry.lift, 0.1))) / 2);
  return el('li', {class: less ? 'lift less' : 'lift'}, bdi(entry.name, 'cut'), el('span', {class: 'bar', 'aria-hidden': 'true'}, el('i', {css: {width: Math.max(4, 100 * size) + '%'}})),
    el('span', {class: 'by'}, '×' + entry.lift.toFixed(2)));
}
const liftList = (title, entries) => entries && entries.length ? el('div', {}, el('h4', {}, title), el('ul', {class: 'lifts'}, entries.map(liftRow))) : null;
const table = (caption, head, rows) => el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption},
  el('table', {}, el('caption', {class: 'unseen'}, caption), el('thead', {}, el('tr', {}, head)), el('tbody', {}, rows)));
const th = (text, num) => el('th', {scope: 'col', class: num ? 'num' : null}, text);
const td = (content, num) => el('td', {class: num ? 'num' : null}, content);
