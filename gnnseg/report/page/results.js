// A benchmark or an ablation: leaderboard, accuracy against seconds, paired differences.
const R = DATA.results, MODELS = R.models, LAST = MODELS[MODELS.length - 1];
let metric = R.metric;
const DRAWN = [];
const drawn = draw => { draw(); DRAWN.push(draw); REDRAW.push(draw); };
const at = (model, name = metric) => model.metrics[name];
const toneOf = m => colour(m === LAST ? 1 : 0);
const pValue = p => p === null ? '–' : p < 0.001 ? p.toExponential(1) : p.toFixed(3);
const relative = x => x === null ? '' : (x > 0 ? '+' : x < 0 ? '−' : '') + (100 * Math.abs(x)).toFixed(1) + ' %';

function chooser() {
  const select = el('select', {id: 'metric', onchange: () => { metric = select.value; DRAWN.forEach(draw => draw()); say(`Shown: ${metric}`); }},
    R.metrics.map(m => el('option', {value: m, selected: m === metric}, m)));
  return el('p', {css: {marginBottom: '12px'}}, el('label', {for: 'metric', css: {marginRight: '8px'}}, 'Metric'), select);
}

function leaderboard() {
  const body = el('tbody'), head = th('', true);
  drawn(() => {
    head.textContent = metric;
    const order = [...MODELS].sort((a, b) => at(b).mean - at(a).mean);
    const low = Math.min(...order.map(m => at(m).low)), high = Math.max(...order.map(m => at(m).high));
    fill(body, order.map(m => el('tr', {}, el('th', {scope: 'row'}, bdi(m.name)), td(m.role || '', false), td(number(at(m).mean, 4), true),
      td(dots([{interval: at(m), tone: toneOf(m)}], low, high, `${number(at(m).mean, 4)}, 95 % ${span(at(m))}`)),
      td(m.fit < 10 ? m.fit.toFixed(1) : Math.round(m.fit).toLocaleString('en'), true), td(m.evaluate.toFixed(1), true), td(Math.round(m.memory).toLocaleString('en'), true), td(m.parameters.toLocaleString('en'), true))));
  });
  return el('div', {class: 'panel'}, el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Leaderboard'}, el('table', {}, el('caption', {class: 'unseen'}, 'Models, the best first'),
    el('thead', {}, el('tr', {}, th('Model'), th(MODELS.some(m => m.role) ? 'Role' : ''), head, th('95 % interval'), th('Fit s', true), th('Rank s', true), th('Peak MB', true), th('Parameters', true))), body)));
}

// Seconds on a logarithmic scale; what took no time stands at the left edge.
function costs() {
  const box = el('div');
  const width = 760, height = 380, left = 64, right = 130, top = 14, bottom = 44;
  const seconds = MODELS.map(m => Math.max(m.fit, 0.01)), first = Math.log10(Math.min(...seconds)), last = Math.max(Math.log10(Math.max(...seconds)), first + 1);
  const x = m => left + (Math.log10(Math.max(m.fit, 0.01)) - first) / (last - first) * (width - left - right);
  drawn(() => {
    const ends = MODELS.map(m => at(m)), low = Math.min(...ends.map(i => i.low)), high = Math.max(...ends.map(i => i.high));
    const y = v => top + (high - v) / (high - low || 1) * (height - top - bottom);
    const powers = [];
    for (let p = Math.ceil(first); p <= last; p++) powers.push(p);
    // Names one below the other where models lie close.
    const placed = [...MODELS].sort((a, b) => at(b).mean - at(a).mean).map(m => ({m, x: x(m), y: y(at(m).mean)}));
    const names = [];
    placed.forEach(p => {
      let to = p.y + 4;
      while (names.some(n => Math.abs(n.x - p.x) < 110 && Math.abs(n.to - to) < 13)) to += 13;
      names.push({...p, to});
    });
    fill(box, svg(width, height, `${metric} against seconds to fit; the leaderboard has the numbers`,
      ticks(low, high).map(t => el('g', {}, el('line', {class: 'axis', x1: left, x2: width - right, y1: y(t), y2: y(t)}), el('text', {x: left - 8, y: y(t) + 4, 'text-anchor': 'end'}, t))),
      powers.map(p => el('text', {x: left + (p - first) / (last - first) * (width - left - right), y: height - 22, 'text-anchor': 'middle'}, `${10 ** p >= 1 ? 10 ** p : (10 ** p).toFixed(-p)} s`)),
      el('text', {x: (left + width - right) / 2, y: height - 4, 'text-anchor': 'middle'}, 'seconds to fit'),
      names.map(p => el('g', {class: 'model'}, el('line', {x1: p.x, x2: p.x, y1: y(at(p.m).low), y2: y(at(p.m).high), stroke: toneOf(p.m), 'stroke-width': 3, opacity: 0.4, 'stroke-linecap': 'round'}),
        el('circle', {cx: p.x, cy: p.y, r: 5, fill: toneOf(p.m)}), el('text', {x: p.x + 9, y: p.to}, p.m.name.length > 22 ? p.m.name.slice(0, 21) + '…' : p.m.name)))));
  });
  return el('div', {class: 'panel'}, el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Accuracy against seconds'}, el('div', {css: {minWidth: '560px'}}, box)));
}

function differences() {
  const body = el('tbody');
  drawn(() => {
    const rows = R.comparisons.filter(c => c.metric === metric).sort((a, b) => b.difference - a.difference);
    const low = Math.min(0, ...rows.map(c => c.low)), high = Math.max(0, ...rows.map(c => c.high));
    fill(body, rows.map(c => {
      const proven = c.p_adjusted !== null && c.p_adjusted < 0.05, cls = !proven ? 'even' : c.difference > 0 ? 'up' : 'down';
      const interval = {mean: c.difference, low: c.low, high: c.high};
      return el('tr', {}, el('th', {scope: 'row'}, bdi(c.baseline)), td(el('span', {class: cls}, `${signed(c.difference)} ${relative(c.relative)}`), true),
        td(dots([{interval, tone: colour(proven ? 1 : 6)}], low, high, `${signed(c.difference)}, 95 % ${signed(c.low)} to ${signed(c.high)}`, 0)), td(pValue(c.p_adjusted), true), td(count(c.users), true));
    }));
  });
  return el('div', {class: 'panel'}, el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Paired differences'}, el('table', {}, el('caption', {class: 'unseen'}, 'Paired differences'),
    el('thead', {}, el('tr', {}, th('Against'), th('Difference', true), th('95 % interval, 0 dashed'), th('p (Holm)', true), th('Users', true))), body)));
}

function groupsBox() {
  return el('div', {class: 'panel'}, table('Full against global by group of users', R.groups.header.map((name, n) => th(name, n > 0)), R.groups.rows.map(row => el('tr', {}, el('th', {scope: 'row'}, bdi(row[0])), row.slice(1).map(cell => td(cell, true))))));
}

const d = R.dataset, seeds = plural(R.seeds, 'seed');
byId('top').append(el('div', {class: 'over'}, el('div', {}, el('h1', {}, bdi(`${R.title} on ${d.name}`)),
  el('p', {class: 'lead'}, `${plural(d.users, 'user')}, ${plural(d.items, 'item')}, ${plural(d.train, 'training interaction')}; ${seeds}; 95 % bootstrap intervals over users.`)), themeButton()),
  el('div', {class: 'notes', role: 'note'}, R.verdicts.map(text => el('p', {class: 'note'}, bdi(text)))));
const links = el('ul');
byId('top').after(el('nav', {'aria-label': 'Sections'}, links));
section('leaderboard', 'Leaderboard', 'Test metrics, means over seeds; the last model of the list stands out.', chooser(), leaderboard());
section('costs', 'Accuracy against seconds', 'Up and to the left is better. Vertical lines are 95 % intervals.', costs());
if (R.comparisons.length) section('differences', 'Paired differences', el('span', {}, bdi(LAST.name), ' minus each of the others, user by user. Grey is not proven: Wilcoxon signed-rank, adjusted for the number of tests (Holm).'), differences());
if (R.groups) section('groups', 'For whom', 'The full system against its global model; groups of fewer than 10 users are not told of.', groupsBox());
links.append(...SECTIONS.map(([id, title]) => el('li', {}, el('a', {href: '#' + id}, title))));
byId('foot').append(el('p', {}, `Settings were chosen on validation, test was read once a seed. Split: ${Object.entries(R.split).map(([k, v]) => `${k} ${v}`).join(', ')}.`), el('p', {}, R.made));
window.gnnseg = {ready: true};
