// Who is served how well, and which items are shown.
const BY = {segment: 'Segments', activity: 'Activity (training interactions)'};

function gapText({gap: g}) {
  if (!g) return null;
  const real = g.p < 0.05;
  return el('p', {class: 'muted'}, el('span', {class: real ? 'down' : 'even'}, real ? 'A gap: ' : 'No proven gap: '), bdi(g.best), ` is served ${number(g.difference)} (${number(g.low)} to ${number(g.high)}) above `, bdi(g.worst),
    `; shuffled users would lie ${number(g.chance)} apart (p ${g.p < 0.01 ? g.p.toFixed(3) : g.p.toFixed(2)}).`);
}

function groupTable(entry, fair) {
  const rows = entry.groups, ends = rows.map(r => r.metric), tagged = rows.some(r => r.miscalibration);
  const low = Math.max(0, Math.min(...ends.map(i => i.low)) * 0.95), high = Math.max(...ends.map(i => i.high)) * 1.02;
  const body = el('tbody');
  const draw = () => fill(body, rows.map(r => el('tr', {}, el('th', {scope: 'row'}, bdi(r.name)), td(count(r.users), true), td(number(r.metric.mean), true),
    td(dots([{interval: r.metric, tone: colour(0)}], low, high, `${number(r.metric.mean)}, 95 % ${span(r.metric)}`)),
    td(percent(r.coverage), true), td(r.popularity_lift === null ? '–' : (r.popularity_lift < 0 ? '−' : '+') + percent(Math.abs(r.popularity_lift)), true),
    tagged && td(r.miscalibration ? number(r.miscalibration.mean) : '–', true))));
  draw();
  REDRAW.push(draw);
  const title = BY[entry.by] || entry.by;
  return el('div', {class: 'panel', css: {marginTop: '16px'}}, el('h3', {}, bdi(title)), gapText(entry),
    el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': title}, el('table', {}, el('caption', {class: 'unseen'}, `${fair.metric} by ${entry.by}`),
      el('thead', {}, el('tr', {}, th('Group'), th('Users', true), th(fair.metric, true), th('95 % interval'), th('Catalogue shown', true), th('More popular than their history', true), tagged && th('Off their tags', true))), body)));
}

function exposureBox(fair) {
  const e = fair.exposure, c = fair.calibration;
  const rows = e.bins.map(b => el('tr', {}, el('th', {scope: 'row'}, b.name), td(count(b.items), true), td(percent(b.of_items), true), td(percent(b.of_interactions), true), td(percent(b.of_lists), true)));
  return el('div', {class: 'panel'}, el('h3', {}, 'Which items are shown'),
    el('p', {class: 'muted'}, `Lists of ${fair.k} show ${percent(e.coverage)} of the catalogue; the Gini coefficient of exposure is ${number(e.gini)} (0 is equal). Each bin holds about a third of the training interactions.`),
    table('Exposure by popularity', [th('Items'), th('Number', true), th('Of the catalogue', true), th('Of interactions', true), th('Of lists', true)], rows),
    c && c.users ? el('p', {class: 'muted', css: {marginTop: '12px'}}, `Tags of lists lie ${number(c.mean)} nats (${span(c)}) from those of histories; lists of other users would lie ${number(c.shuffled)} away.`) : null);
}

const fairnessBoxes = fair => [exposureBox(fair), ...fair.groups.map(entry => groupTable(entry, fair))];
