// The page from top to bottom; what a run has not, is left out.
const RUN = DATA.run, METRIC = RUN.metric, shown = DATA.segments.filter(s => !s.hidden);

function heading() {
  const d = RUN.dataset;
  const figure = (value, what, more) => el('div', {class: 'figure'}, el('div', {class: 'what'}, what), el('div', {class: 'value'}, value), more && el('div', {class: 'more'}, more));
  const shown3 = [METRIC, ...Object.keys(DATA.figures).filter(m => m !== METRIC)].slice(0, 3).filter(m => DATA.figures[m]);
  byId('top').append(
    el('div', {class: 'over'}, el('div', {}, el('h1', {}, bdi(`${RUN.name} on ${d.name}`)),
      el('p', {class: 'lead'}, bdi(`${plural(d.users, 'user')} and ${plural(d.items, 'item')}${d.train ? `, ${plural(d.train, 'training interaction')}` : ''}. ${RUN.parts.join(' + ')}.`))), themeButton()),
    DATA.notes.length ? el('div', {class: 'notes', role: 'note'}, DATA.notes.map(n => el('p', {class: 'note'}, el('strong', {}, n.title), bdi(n.text)))) : null,
    el('div', {class: 'figures'}, shown3.map(m => figure(number(DATA.figures[m].mean), RUN.measured ? `${m}, ${RUN.measured}` : `test ${m}`, span(DATA.figures[m]))),
      DATA.segments.length ? figure(DATA.segments.length, 'segments', `largest ${percent(Math.max(...shown.map(s => s.share), 0))} of users`) : null,
      DATA.test.coverage !== undefined ? figure(percent(DATA.test.coverage), 'of the catalogue recommended') : null,
      RUN.seconds.fit !== undefined ? figure(`${RUN.seconds.fit < 10 ? RUN.seconds.fit.toFixed(1) : Math.round(RUN.seconds.fit)} s`, 'to fit') : null));
}

function performanceTable(judged) {
  const row = judged.rows, compares = row.some(r => r.difference);
  const ends = row.flatMap(r => [r.served[METRIC], ...(r.global ? [r.global[METRIC]] : [])]);
  const low = Math.max(0, Math.min(...ends.map(i => i.low)) * 0.95), high = Math.max(...ends.map(i => i.high)) * 1.02;
  const lines = [row[0], ...row.slice(1).sort((a, b) => a.served[METRIC].mean - b.served[METRIC].mean)];
  const body = el('tbody');
  const draw = () => fill(body, lines.map((r, n) => {
    const own = r.served[METRIC], whole = r.global && r.global[METRIC], d = r.difference && r.difference[METRIC];
    const entries = [{interval: own, tone: colour(0)}, ...(whole ? [{interval: whole, tone: colour(6), hollow: true}] : [])];
    const tone = !d || (d.low <= 0 && d.high >= 0) ? 'even' : d.mean > 0 ? 'up' : 'down';
    return el('tr', {}, el('th', {scope: 'row'}, r.segment === null ? el('strong', {}, 'all users') : named(r.segment)), td(count(r.users), true), td(number(own.mean), true),
      td(dots(entries, low, high, `${number(own.mean)}, 95 % ${span(own)}${whole ? `; global model ${number(whole.mean)}` : ''}`)),
      compares && td(d ? el('span', {class: tone}, d.mean === 0 && d.low === 0 && d.high === 0 ? 'the same' : `${signed(d.mean)} (${signed(d.low)} to ${signed(d.high)})`) : '', true));
  }));
  draw();
  REDRAW.push(draw);
  return el('div', {class: 'panel'}, el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Metrics by segment'}, el('table', {},
    el('caption', {class: 'unseen'}, `${METRIC} by segment, the worst first`),
    el('thead', {}, el('tr', {}, th('Segment'), th('Users', true), th(METRIC, true), th(compares ? '● served  ○ global model, 95 % intervals' : '95 % interval'), compares && th('Served minus global', true))), body)));
}

const MEASURES = {
  silhouette: ['Silhouette', 'How much closer users are to their own segment than to the next; 0.25 and above is structure.', 0.25],
  modularity: ['Modularity', 'How many more links fall inside segments than by chance; 0.3 and above is clear.', 0.3],
  stability: ['Stability', 'How alike segments of other seeds are; 1 is the same.', 0.6],
  agreement: ['Agreement of the views', 'How alike the segmentations that were joined are; 1 is the same.', null],
  sharpness: ['Sharpness', 'How decided memberships are; 1 is one segment a user.', null],
  entropy: ['Evenness of sizes', '1 where all segments are of one size.', null],
};
function qualityBox() {
  const known = Object.entries(MEASURES).filter(([name]) => DATA.quality[name]);
  const box = el('div', {class: 'meters'});
  const draw = () => fill(box, known.map(([name, [title, about, limit]]) => {
    const i = DATA.quality[name], weak = limit !== null && i.mean < limit;
    return el('div', {class: 'meter'}, el('div', {class: 'row'}, el('span', {}, title, weak && el('span', {class: 'down'}, ' · weak')), el('span', {}, el('b', {}, number(i.mean, 2)), el('span', {class: 'muted'}, ` ${number(i.low, 2)} to ${number(i.high, 2)}`))),
      dots([{interval: i, tone: colour(weak ? 1 : 0)}], Math.min(0, i.low), 1, `${title} ${number(i.mean, 2)}`, limit), el('p', {}, about));
  }));
  draw();
  REDRAW.push(draw);
  return el('div', {class: 'panel'}, box);
}

function curvesBox() {
  const stages = [...new Set(DATA.curves.map(r => r.stage))];
  return el('div', {class: 'two'}, stages.flatMap(stage => {
    const records = DATA.curves.filter(r => r.stage === stage), name = stage === 1 ? 'Global model' : 'Segments, fine-tuning';
    const measured = [...new Set(records.flatMap(r => Object.keys(r).filter(k => k.startsWith('valid_'))))];
    return [['loss', 'loss'], ...measured.map(m => [m, 'validation ' + m.slice(6)])].map(([field, title]) => {
      const points = records.filter(r => typeof r[field] === 'number').map(r => [r.epoch, r[field]]);
      if (!points.length) return null;
      const last = points[points.length - 1][1], best = field === 'loss' ? Math.min(...points.map(p => p[1])) : Math.max(...points.map(p => p[1]));
      const box = el('div', {});
      const draw = () => fill(box, lines([{points}], `${title} over ${points.length} epochs, best ${number(best, 4)}, last ${number(last, 4)}`));
      draw();
      REDRAW.push(draw);
      return el('figure', {class: 'panel'}, el('h3', {}, `${name}: ${title}`), el('p', {class: 'muted'}, `best ${number(best, 4)}, last ${number(last, 4)}, by epoch`), box);
    });
  }));
}

function comparison(other) {
  const difference = other.difference || {}, names = Object.keys(DATA.figures).filter(m => other.figures[m]);
  const rows = names.map(m => { const d = difference[m]; return el('tr', {}, el('th', {scope: 'row'}, m), td(number(DATA.figures[m].mean), true), td(number(other.figures[m].mean), true), td(number(other.figures[m].mean - DATA.figures[m].mean, 4), true),
    td(d ? `${signed(d.mean)} (${signed(d.low)} to ${signed(d.high)})` : '', true)); });
  const qualities = Object.keys(MEASURES).filter(m => DATA.quality[m] && typeof other.quality[m] === 'number').map(m => el('tr', {}, el('th', {scope: 'row'}, MEASURES[m][0].toLowerCase()), td(number(DATA.quality[m].mean), true), td(number(other.quality[m]), true), td(number(other.quality[m] - DATA.quality[m].mean, 4), true), td('')));
  const box = el('div', {class: 'panel'}, table('Both runs', [th('Measure'), el('th', {class: 'num', scope: 'col'}, bdi(RUN.folder)), el('th', {class: 'num', scope: 'col'}, bdi(other.folder)), th('Change', true), th('User by user, 95 %', true)], [...rows, ...qualities]));
  return [box, other.drift && driftBox(other)];
}

function driftBox({drift, segments}) {
  const label = n => { const s = segments[n]; return s ? s.name || `segment ${s.segment}` : 'outside'; };
  const width = drift.counts[0].length - 1, height = drift.counts.length - 1;
  const anywhere = n => drift.counts.some(r => r[n] !== 0), columns = [...Array(width + 1).keys()].filter(n => n < width || anywhere(n));
  const cell = (n, total, match, from, to) => {
    const share = n === null ? 0 : n / Math.max(total, 1);
    return el('td', {css: {background: `rgba(var(--high), ${0.75 * share})`, outline: match ? '2px solid var(--ink)' : 'none', outlineOffset: '-2px'}, title: `${from} to ${to}: ${count(n)}`}, n === null ? '<' + RUN.min_users : n ? percent(share) : '·');
  };
  return el('div', {class: 'panel', css: {marginTop: '16px'}}, el('h3', {}, `${percent(drift.moved)} of ${count(drift.users)} users changed segments`),
    el('p', {class: 'muted'}, `adjusted Rand index ${number(drift.rand)}, normalised mutual information ${number(drift.mutual_information)}; ${count(drift.left)} users left, ${count(drift.joined)} joined. A row is where the users of a segment went; the matching segment is outlined.`),
    el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Where users went'}, el('table', {class: 'heat'}, el('caption', {class: 'unseen'}, 'Where the users of each segment went'),
      el('thead', {}, el('tr', {}, el('td', {}), columns.map(n => el('th', {scope: 'col', class: 'col'}, bdi(label(n)))))),
      el('tbody', {}, drift.counts.map((r, s) => s === height && r.every(n => n === 0) ? null : el('tr', {}, el('th', {scope: 'row'}, s < height ? named(s) : 'outside'), columns.map(n => cell(r[n], r.reduce((a, b) => a + (b || 0), 0), drift.matches[s] === n, s < height ? segmentName(s) : 'outside', label(n)))))))));
}

function foot() {
  const e = RUN.environment;
  byId('foot').append(
    el('p', {}, `Groups of fewer than ${RUN.min_users} users are not shown${DATA.map.hidden ? '; their users are not on the map' : ''}. ${RUN.anonymous ? 'Outside ids of users are left out; the histories of the example users are not.' : 'The page names users by their ids: make one with --anonymous to share it.'}`),
    el('p', {}, `gnnseg ${e.gnnseg || ''} · torch ${e.torch || ''} · ${e.cpu || e.device || ''} · ${e.started || ''}`),
    el('details', {}, el('summary', {}, 'The config of this run'), el('pre', {tabindex: 0}, RUN.config)));
}

heading();
const links = el('ul');
const bar = el('nav', {'aria-label': 'Sections'}, links);
byId('top').after(bar);
if (shown.length) {
  section('segments', 'Segments', 'Who the users are, by what they like and avoid. ×2 means twice as often as everybody; only what passes a test over users is named.',
    shares(), el('div', {class: 'cards'}, DATA.segments.map(cardOf)), shown.length > 1 && segmentPair());
}
section('map', 'Map', `Each point is a user or an item; near points are alike. ${DATA.map.method} of ${DATA.map.origin}, which shows a part of what they hold.`, mapBox());
if (DATA.heat && DATA.heat.rows.length) section('tastes', 'Tastes', `How often each segment meets ${DATA.heat.kind}, against everybody. Pale figures are within chance.`, el('div', {class: 'panel'}, heatMap(DATA.heat)));
if (DATA.judged && DATA.judged.rows.length) section('performance', 'How well it works, and for whom', shown.length ? 'Test users of each segment, the worst served first, with 95 % intervals over users.' : 'Test users, with a 95 % interval over users.', performanceTable(DATA.judged));
if (DATA.fairness) section('fairness', 'Fairness and exposure', `Test users by group, and the items that their lists of ${DATA.fairness.k} show. The largest of several differences is above zero by chance, so each gap stands beside that of shuffled users.`, ...fairnessBoxes(DATA.fairness));
if (Object.values(DATA.quality).some(Boolean)) section('quality', 'How real the segments are', 'Measured on the training users, with 95 % intervals over users. A dashed line marks what counts as clear.', qualityBox());
if (DATA.curves.length) section('training', 'Training', null, curvesBox());
if (DATA.people.length) section('users', 'Users', 'What example users had, what they are recommended, and the items of their history whose users overlap most with those of the recommendation: evidence in the data, not the inside of the model.', peopleBox());
if (DATA.compare) section('comparison', 'Compared', null, comparison(DATA.compare));
links.append(...SECTIONS.map(([id, title]) => el('li', {}, el('a', {href: '#' + id}, title))));
foot();
if (DATA.people.length) showPerson(DATA.people[0].name);
// For tests and measurements only.
window.gnnseg = {map: MAP, ready: true};
